"""Count what links say of states, as the chapter on decoding uses it: `python benchmarks/links.py MOVIE [MOVIE …]`.

The movies need a lineage, which gives the true states; the links come from the segmentation alone. Its shares were
counted on the first six of eight movies of `nucleus_simulate --n_movies 8`, of the presets realistic and hard each.
"""
import sys

import pandas as pd

from nucleus_cls.core import STATES
from nucleus_cls.links import link_movie
from nucleus_cls.movie import open_movie
from nucleus_cls.states import state_table


def count(movie):
    "Nuclei of each state by their number of successors, and pairs of states along links."
    states, (links, _) = state_table(movie.lineage(), frames=movie.frames), link_movie(movie)
    state = states.set_index(['frame', 'nucleus_id'])['state'].replace('unknown', 'stable')
    n, last = links.groupby(['frame', 'source']).size(), set(movie.seg_frames)
    successors = pd.DataFrame([(s, n.get(key, 0)) for key, s in state.items() if key[0] + 1 in last])
    pairs = pd.DataFrame([(state.get((e.frame, e.source)), state.get((e.frame + 1, e.target)))
                          for e in links.itertuples()]).dropna()
    return pd.crosstab(successors[0], successors[1]), pd.crosstab(pairs[0], pairs[1])


def main():
    if len(sys.argv) < 2: raise SystemExit(__doc__)
    totals = [None, None]
    for path in sys.argv[1:]:
        totals = [part if total is None else total.add(part, fill_value=0) for total, part
                  in zip(totals, count(open_movie(path)))]
    for title, table in zip(('number of successors', 'state that follows'), totals):
        table = table.reindex(STATES).fillna(0)
        print(f'\n{title}\n{table.astype(int)}\n{table.div(table.sum(axis=1), axis=0).round(3)}')


if __name__ == '__main__': main()
