"""Maps fitted between representations, and the information that they carry: translatability, not alignment.

Alignment (`platorep.metrics`) asks whether two geometries agree. A fitted map asks whether a map of a given class turns
one into the other. Maps are fitted on anchors, which are paired samples from `fit`, and scored on `test`.
"""
