"""Maps fitted between representations, and what they carry: translatability, which is not alignment.

Alignment (`platorep.metrics`) asks whether two geometries agree. A fitted map asks whether one can be turned into the
other by a map of a given class. Maps are fitted on anchors, which are paired samples of `fit`, and scored on `test`.
"""
