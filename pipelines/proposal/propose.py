"""What a task file could say about a data file.

Whatever cannot be read from the data is asked, or decided in the way that harms least and said so.
"""

from __future__ import annotations

from components._shared.errors import DataError
from pipelines.proposal.contents import Asker, Proposal, Wishes
from pipelines.proposal.features import choose_features, limit_drift
from pipelines.proposal.label import FEWEST_ROWS, choose_label, choose_problem
from pipelines.proposal.label_strength import take_sample
from pipelines.proposal.rows import choose_key, choose_parts, choose_time, moment_sql
from pipelines.proposal.table_profile import Table


def propose(table: Table, wishes: Wishes, ask: Asker) -> Proposal:
    """A proposal for the table.

    Raises:
        InputError: No label is given and nobody can be asked, or a wish does not fit the data.
        DataError: Too few rows, or a label that says nothing.
    """
    if table.rows < FEWEST_ROWS:
        raise DataError(
            f"There are {table.rows} rows: too few to train, tune and test a model on",
            fix=f"collect at least {FEWEST_ROWS}; a few hundred are a start",
        )
    label = choose_label(table, wishes, ask)
    proposal = choose_problem(table, label, wishes, ask)
    choose_time(table, label, proposal, wishes, ask)
    choose_parts(table, proposal)
    choose_key(table, proposal)
    sample = take_sample(table, label.sql, moment_sql(table, proposal))
    choose_features(table, label, proposal, sample, ask)
    limit_drift(proposal, sample)
    return proposal
