"""The page: a live society or stored runs in a browser. Needs the extra `viz`.

The command `viz` opens it (`server`, `app`). `components` are its parts; `for_mesa` has them as functions of a model
for Mesa's `SolaraViz`. Each part draws a `repunet_model.chronicle.Chronicle` at a step, so that a live society, a
stored run and an imported one look alike.
"""
