"""The page: watch a society, click a mind, scrub through a run.

The command `viz` opens it (`server`, `app`). `components` are its parts; `for_mesa` has them as functions of a model,
for a `SolaraViz` of one's own. Everything is drawn from a `repunet_model.chronicle.Chronicle` at a step, so that a live
society, a stored run and an imported one look alike. Needs the extra `viz`.
"""
