"""Import and export of the folders of the published implementation (Ren et al. 2026).

    <run>/step_<N>/                             a full snapshot after step N; a seed run is step 0
        reverie/meta.json                       the names in order, the step
        personas/<name>/memory/scratch.json     learned, ties, blacklist, resources, counts
        personas/<name>/memory/associative_memory/nodes.json
                                                encounters (EVENT), conversations and gossip (CHAT), thoughts
        personas/<name>/reputation/reputation_database.json
        personas/<name>/reputation/out_of_date_reputation_database.json
                                                the present record of each subject and role, and those before it
        personas/<name>/reputation/gossip_database.json
                                                gossip that the agent heard, with its credibility
        investment results/investment_results_<N>.txt
                                                the encounters of the step in words

Data without a field in the layout are in meta.json under the key `repunet_mesa`, which the published loader ignores:
parameters, personas, and all steps without calls and usage. An import restores them, unless another program changed the
folder; then it reads what the layout itself holds, like any published run. An export of an imported step writes again
what the folder had in fields that need not change.

Steps of the prisoner's dilemma and of sign-up have the form in which the published code writes them; no real data of
these were available for comparison.
"""

from repunet_model.reference_layout.reader import Imported, Told, import_run
from repunet_model.reference_layout.writer import export_step

__all__ = ["Imported", "Told", "export_step", "import_run"]
