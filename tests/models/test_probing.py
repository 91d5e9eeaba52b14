"""What is found out of a model by running it: causality, padding, positions, and where its hidden states come from."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from transformers import (
    AutoModel,
    FNetConfig,
    FNetModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PegasusXConfig,
    PegasusXForConditionalGeneration,
    ReformerConfig,
    ReformerModelWithLMHead,
    RobertaConfig,
    RobertaModel,
    XLMConfig,
    XLMWithLMHeadModel,
)

from platorep.core.errors import DataError, SpecError
from platorep.core.specs import ModelSpec
from platorep.models import Text, TextRules, Tokens, load, resolve
from platorep.models.language import LanguageEncoder
from platorep.models.probing import repeatable
from tests import small_models


CPU = torch.device("cpu")
TEXTS = ["A", "A Sumatran tiger.", "An adjustable wrench, of steel.", "A red square", "A red square in the upper left."]
SPECIALS = {"specials": ("<s>", "</s>", "<pad>"), "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


def saved(folder, model, **tokenizer):
    """The encoder of a model that was saved beside a tokenizer."""
    tokenizer = small_models.byte_tokenizer(**(SPECIALS | tokenizer))
    return load(resolve(small_models._language(folder, model, tokenizer), CPU), CPU)


def in_memory(model):
    spec = ModelSpec(name="mine", modality="language", source="transformers", id="mine")
    return LanguageEncoder(spec, model.eval(), small_models.byte_tokenizer(**SPECIALS), CPU)


def llama(**more):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=299, **sizes, **more))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4.0) if weight.ndim > 1 else None
    return model


def encoded(encoder, texts=TEXTS):
    return encoder.encode(encoder.tokenize([Text.of(text) for text in texts], TextRules()))


def by_company(encoder):
    """Largest difference between a text's features in a batch and alone, as a share of their length."""
    together = encoded(encoder).features
    alone = [encoded(encoder, [text]).features for text in TEXTS]
    return max(
        float((layer[i] - alone[i][place][0]).norm() / layer[i].norm())
        for place, layer in enumerate(together)
        for i in range(len(TEXTS))
    )


def own_states(model, encoder, text):
    ids = torch.tensor([encoder.tokenize([Text.of(text)], TextRules())[0].ids])
    with torch.no_grad():
        return [state[0].mean(0) for state in model(input_ids=ids, output_hidden_states=True).hidden_states]


def test_decoder_that_its_config_makes_bidirectional_is_masked_and_not_scored(tmp_path):
    encoder = saved(tmp_path / "both", llama(is_causal=False))
    assert not encoder.causal
    assert encoder.facts["bits_per_byte_missing"] == "its attention is not causal, so that it predicts no next token"
    assert encoded(encoder).scalars == {}
    assert by_company(encoder) < 1e-5
    causal = saved(tmp_path / "causal", llama())
    assert causal.causal
    assert set(encoded(causal).scalars) == {"bits", "bits_released"}


def test_texts_of_one_length_share_a_batch_where_padding_leaks():
    torch.manual_seed(0)
    config = FNetConfig(vocab_size=299, hidden_size=32, num_hidden_layers=2, intermediate_size=48)
    encoder = in_memory(FNetModel(config))
    assert encoder.nature.company == "equal"
    assert "only texts of one length share a batch" in encoder.facts["batches"]
    assert by_company(encoder) < 1e-5
    encoder.nature = dataclasses.replace(encoder.nature, company="padded")
    assert by_company(encoder) > 0.1


def test_texts_are_read_alone_where_others_in_the_batch_change_them():
    model = llama()
    model.model.embed_tokens.register_forward_hook(lambda _module, _args, out: out + out.mean(0, keepdim=True))
    encoder = in_memory(model)
    assert encoder.nature.company == "alone"
    assert by_company(encoder) == 0
    together = encoded(encoder)
    for i, text in enumerate(TEXTS):
        assert torch.equal(encoded(encoder, [text]).scalars["bits"][0], together.scalars["bits"][i])
    encoder.nature = dataclasses.replace(encoder.nature, company="padded")
    assert by_company(encoder) > 0.01


def test_states_are_the_models_own_where_no_list_of_modules_makes_them(tmp_path):
    """XLM has lists of attention modules, norms and feed-forward parts, each as long as it has layers."""
    torch.manual_seed(0)
    model = XLMWithLMHeadModel(XLMConfig(vocab_size=299, emb_dim=32, n_layers=3, n_heads=4, pad_index=2))
    encoder = saved(tmp_path / "xlm", model)
    assert encoder.blocks is None
    assert encoder.layers == ("state.0", "state.1", "state.2", "state.3")
    assert not encoder.scores
    for i, text in enumerate(TEXTS):
        for layer, state in zip(encoded(encoder).features, own_states(model.eval(), encoder, text), strict=True):
            torch.testing.assert_close(layer[i], state, rtol=1e-4, atol=1e-5)


def test_embedding_is_a_layer_where_the_model_reports_none(tmp_path):
    """Mamba reports the last block's output before and after the norm, and no embedding."""
    torch.manual_seed(0)
    model = MambaForCausalLM(MambaConfig(vocab_size=299, hidden_size=32, num_hidden_layers=3, state_size=8))
    encoder = saved(tmp_path / "mamba", model)
    assert encoder.layers == ("embedding", "block.0", "block.1", "block.2.norm")
    ids = torch.tensor([encoder.tokenize([Text.of(TEXTS[2])], TextRules())[0].ids])
    first, second, _, normed = own_states(model.eval(), encoder, TEXTS[2])
    wanted = [model.get_input_embeddings()(ids)[0].mean(0), first, second, normed]
    for layer, state in zip(encoded(encoder).features, wanted, strict=True):
        torch.testing.assert_close(layer[2], state, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("pad", "limit"), [(1, 64), (None, 65)])
def test_texts_are_cut_where_the_position_table_ends(tmp_path, pad, limit):
    """RoBERTa's positions begin behind the index of the padding; the tokenizer states no length."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = RobertaConfig(vocab_size=299, max_position_embeddings=66, pad_token_id=1 if pad else 0, **sizes)
    encoder = saved(tmp_path / "roberta", RobertaModel(config))
    assert encoder.limit(None) == limit
    short, long = encoder.tokenize([Text.of("A"), Text.of("A Sumatran tiger. " * 20)], TextRules())
    assert (len(long), long.truncated, short.truncated) == (limit, True, False)
    encoder.encode([short, long])


def test_padding_beyond_the_embeddings_is_never_looked_up(tmp_path):
    model = llama()
    encoder = saved(tmp_path / "llama", model)
    tokenizer = encoder.tokenizer
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})  # the embeddings stay as long as they were
    assert tokenizer.pad_token_id >= encoder.rows
    longer = LanguageEncoder(encoder.spec, encoder.model, tokenizer, CPU)
    assert longer.pad < longer.rows
    assert by_company(longer) < 1e-5


def test_token_that_has_no_embedding_is_named(tmp_path):
    encoder = saved(tmp_path / "llama", llama())
    encoder.tokenizer.add_tokens(["zebra"])
    tokens = encoder.tokenize([Text.of("A zebra")], TextRules())
    with pytest.raises(DataError, match=r"gives the token 'zebra' \(id 299\), but the model has only 299 embeddings"):
        encoder.encode(tokens)


def test_model_in_which_no_token_sees_another_is_refused():
    model = llama()
    for block in model.model.layers:
        torch.nn.init.zeros_(block.self_attn.o_proj.weight)
    with pytest.raises(SpecError, match="mine: in LlamaModel no token sees any other on cpu"):
        in_memory(model)


def test_model_that_is_not_repeatable_is_refused():
    model = llama()
    model.model.embed_tokens.register_forward_hook(lambda _module, _args, out: out + torch.randn_like(out))
    with pytest.raises(
        SpecError, match="other hidden states when it, or its LlamaModel alone, reads the same text again"
    ):
        in_memory(model)


def test_hashing_attention_is_refused_for_texts_that_it_hashes_or_fills_up(tmp_path):
    """Reformer draws random rotations where a text is longer than a chunk, and fills texts up to whole chunks."""
    torch.manual_seed(0)
    config = ReformerConfig(
        vocab_size=299, hidden_size=32, attention_head_size=8, num_attention_heads=4, feed_forward_size=48,
        attn_layers=["lsh"], axial_pos_embds_dim=(16, 16), axial_pos_shape=(8, 16), lsh_attn_chunk_length=16,
        num_buckets=4, is_decoder=True, max_position_embeddings=128,
    )  # fmt: skip
    encoder = saved(tmp_path / "reformer", ReformerModelWithLMHead(config))

    def text(length):
        return [Tokens(list(range(10, 10 + length)), [True] * length)]

    encoder.encode(text(16))
    with pytest.raises(SpecError, match=r"makes states of shape \(1, 48, 32\) of 1 texts of 40 tokens"):
        encoder.encode(text(40))
    with pytest.raises(SpecError, match="draws random numbers while it reads texts of this length"):
        encoder.encode(text(48))


def test_drawing_random_numbers_is_noticed_and_other_work_is_not():
    with repeatable(CPU, "mine"):
        torch.rand(2, generator=torch.Generator())
    with pytest.raises(SpecError, match="mine: the model draws random numbers"), repeatable(CPU, "mine"):
        torch.rand(2)


def test_states_that_are_not_one_a_token_are_refused(tmp_path):
    """PegasusX fills texts up to a whole block, and reports the states of the filling."""
    config = PegasusXConfig(
        vocab_size=299, d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, num_global_tokens=4, block_size=32,
    )  # fmt: skip
    with pytest.raises(
        SpecError, match=r"makes states of shape \(1, 32, 32\) of a text of 8 tokens; expected \(1, 8, width\)"
    ):
        saved(tmp_path / "pegasus", PegasusXForConditionalGeneration(config))


def test_model_that_reads_no_text_is_refused(tmp_path):
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    with pytest.raises(SpecError, match="ViTModel (has no embeddings of tokens|does not run on the token ids)"):
        saved(tmp_path / "vit", ViTModel(ViTConfig(image_size=28, patch_size=14, **sizes)))


def test_own_states_and_blocks_agree_for_a_model_with_both(tmp_path):
    spec = small_models.bert(tmp_path / "bert")
    encoder, model = load(resolve(spec, CPU), CPU), AutoModel.from_pretrained(tmp_path / "bert").eval()
    assert encoder.blocks is not None
    by_blocks = encoded(encoder)
    encoder.blocks = None
    for a, b in zip(by_blocks.features, encoded(encoder).features, strict=True):
        assert torch.equal(a, b)
    for layer, state in zip(by_blocks.features, own_states(model, encoder, TEXTS[1]), strict=True):
        torch.testing.assert_close(layer[1], state, rtol=1e-4, atol=1e-5)
