"""Count what links say of states, as the chapter on decoding uses it: `python benchmarks/links.py MOVIE [MOVIE …]`.

The movies need a lineage, which gives the true states; the links come from the segmentation alone. Its numbers were
counted on seven movies each of the presets realistic and hard: the first three of `nucleus_simulate --seed 100`, and
the first four of `--seed 101`. Nuclei at the border, which may leave, and deaths before a missing frame are left out.
"""
import sys

import pandas as pd

from nucleus_cls.core import STATES
from nucleus_cls.lineage.states import assign_states
from nucleus_cls.movies.open import open_movie
from nucleus_cls.movies.fates import describe_links
from nucleus_cls.movies.links import link_movie

KEY = ['frame', 'nucleus_id']
COLUMNS = {'after': ['gone', 'covered', 'back', 'one', 'touching', 'apart'],
           'before': ['new', 'covered', 'back', 'linked'], 'follows': list(STATES)}


def count(links, nuclei, states, size=None):
    "Nuclei of each state by what came after and before, and pairs of states along links."
    at_border = pd.MultiIndex.from_frame(nuclei.loc[nuclei['border'], KEY])
    state = states[~states['lost']].set_index(KEY)['state'].replace('unknown', 'stable').drop(at_border, errors='ignore')
    kinds = describe_links(nuclei, links, size)
    kinds['state'] = state.reindex(pd.MultiIndex.from_frame(kinds[KEY])).to_numpy()
    pairs = pd.DataFrame([(state.get((e.frame, e.source)), state.get((e.frame + 1, e.target)))
                          for e in links.itertuples()], columns=['state', 'follows']).dropna()
    return {what: pd.crosstab(table['state'], table[what]).reindex(index=STATES, columns=columns, fill_value=0)
            for (what, columns), table in zip(COLUMNS.items(), (kinds, kinds, pairs))}


def main():
    if len(sys.argv) < 2: raise SystemExit(__doc__)
    totals = None
    for path in sys.argv[1:]:
        movie = open_movie(path)
        found = count(*link_movie(movie), assign_states(movie.lineage(), frames=movie.frames), movie.voxel_size)
        totals = {what: found[what] + (totals[what] if totals else 0) for what in found}
    for what, table in totals.items():
        print(f'\n{what}\n{table}\n{table.div(table.sum(axis=1), axis=0).round(3)}')


if __name__ == '__main__': main()
