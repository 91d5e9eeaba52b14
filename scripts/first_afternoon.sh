#!/usr/bin/env bash
# A user's first afternoon, in a few minutes: a checkpoint and pictures of their own, imported features, a sweep of
# 3 metrics x 2 protocols x 2 values of k, its table, a figure for one column of a paper, and the report.
# bash scripts/first_afternoon.sh [FOLDER] writes everything to FOLDER, build/first_afternoon by default.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
bash "$here/scripts/setup.sh"
export PATH="$here/.venv/bin:$PATH"
folder="${1:-$here/build/first_afternoon}"
mkdir -p "$folder"
cd "$folder"

# the user's files: pictures/ with metadata.csv, mine.safetensors, histograms.npz
python "$here/scripts/first_afternoon.py"

# two language models and a network from package registries, the user's own network, pixels
pairs=(suite=offline dataset=folder dataset.id=pictures)
mine='models.mine={modality: vision, source: timm, id: test_efficientnet, family: mine, '
mine+='asset: {source: path, id: mine.safetensors}}'
platorep doctor "${pairs[@]}" "$mine" only=[tfidf,minilm_l6,lite0,pixels,mine]
platorep extract "${pairs[@]}" "$mine" only=[tfidf,minilm_l6,lite0,pixels,mine]

# imported features are named like models
platorep store import histograms.npz --name histograms --modality vision --dataset folder
histograms='models.histograms={modality: vision, source: imported, id: histograms.npz, family: histograms}'
experiment=("${pairs[@]}" "$mine" "$histograms" only=[tfidf,minilm_l6,lite0,pixels,mine,histograms])
platorep run "${experiment[@]}" figure=[matrix,layers,significance]

# twelve jobs over the stored features
for metric in mutual_knn cknna jaccard_knn; do
  platorep align -m "${experiment[@]}" "metric=$metric" "metric.$metric.k=5,10" protocol=prh,heldout -q
done
python -c 'import platorep; platorep.load("outputs").scores().to_csv("sweep.csv", index=False)'
platorep table --metric mutual_knn --protocol heldout

# a figure for one column of a two-column paper, and the page
platorep plot "${experiment[@]}" figure=[matrix,significance] style.width=single style.font_size=7 \
  style.formats=[pdf,png]
platorep report "${experiment[@]}" figure=[matrix,layers,significance]
