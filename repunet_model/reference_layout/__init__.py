"""The folders of the published implementation (Ren et al. 2026): read into a run of ours, and written from one.

    <run>/step_<N>/                             a full snapshot of everything after step N; a seed is step 0
        reverie/meta.json                       the names in order, the step
        personas/<name>/memory/scratch.json     learned, ties, blacklist, resources, counts
        personas/<name>/memory/associative_memory/nodes.json
                                                encounters (EVENT), conversations and gossip (CHAT), thoughts
        personas/<name>/reputation/reputation_database.json
        personas/<name>/reputation/out_of_date_reputation_database.json
                                                the present record of each subject and role, and those before it
        personas/<name>/reputation/gossip_database.json
                                                what the agent was told and how far it believed it
        investment results/investment_results_<N>.txt
                                                the encounters of the step in words

What the layout has no field for is written under the one key `repunet_mesa`, which the published loader does not read
(it reads by name): traits and disposition of a persona, the mode and seed of the run, the exact state of an agent, the
text and payoff of an event, cause, step and source of each record, tone and dialogue of gossip. A folder that the
published code has gone on with has lost most of it; import then says what is missing. Not held at all: calls and
prompts, measures, usage, ties by the step in which they were made or cut, reasons of earlier public choices, and the
replies of a failed step.

The form of steps of the prisoner's dilemma and of sign-up follows how the published code writes them; real data of
these were not at hand.
"""

from repunet_model.reference_layout.reader import Imported, Told, import_run
from repunet_model.reference_layout.writer import export_step

__all__ = ["Imported", "Told", "export_step", "import_run"]
