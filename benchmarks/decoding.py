"""What decoding over time brings to a trained run, and how good the list of suspicious places is.

    python benchmarks/decoding.py RUN [--seed 0] [--movies 7,8] [--presets realistic,hard]

RUN is a run folder that has not seen these movies; they are simulated (or left where they are, with --folder) as
`simulate(n_movies=8, seed=0)` makes them. Each is predicted once, nucleus by nucleus, and decoded on links made from
the segmentation alone. Both are scored on every nucleus, and by events, exact and one frame off along the lineage.
Then one in twenty of the true lineage's links is cut or led astray, and the suspicious places are compared with that.
Prints the tables and writes `decoding.csv` beside this file (or --output). Nothing is tuned here.
"""
import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from nucleus_cls.core import STATES
from nucleus_cls.decode import decode, missing_prior
from nucleus_cls.events import event_scores
from nucleus_cls.extract import extract_movie
from nucleus_cls.links import link_movie, link_scores
from nucleus_cls.metrics import predicted_states, scores, scoring_sets
from nucleus_cls.movie import open_movie
from nucleus_cls.movies import predict_movie
from nucleus_cls.run import load_run
from nucleus_cls.simulate import simulate_movie, write_movie
from nucleus_cls.suspects import corrupt, suspect_scores, suspicious_places

KEY = ['frame', 'nucleus_id']


def study(run, movie, folder, seed):
    "Predict one movie; its table of samples, probabilities raw and decoded, and what links and suspects are worth."
    raw = predict_movie(run, movie, decode=False)
    links, lineage = link_movie(movie)[0], movie.lineage()
    decoded = decode(raw, links, adjust=missing_prior(run))
    samples = extract_movie(movie, folder)
    at = pd.MultiIndex.from_frame(raw.table[KEY].astype(int))
    at = at.get_indexer(pd.MultiIndex.from_frame(samples.table[KEY].astype(int)))
    assert (at >= 0).all()
    spoilt, touched = corrupt(lineage, .05, seed)
    found = suspect_scores(suspicious_places(raw, links, spoilt), touched)
    return dict(table=samples.table, complete=samples.complete, raw=raw.probs[at], decoded=decoded.probs[at],
                links=link_scores(links, lineage), suspects=found)


def score(parts, which, states):
    "Score the movies of a preset together, on every nucleus."
    table = pd.concat([p['table'] for p in parts], ignore_index=True)
    complete = {m: c for p in parts for m, c in p['complete'].items()}
    rows, true = scoring_sets(table, complete)['every_nucleus']
    probs = np.concatenate([p[which] for p in parts])
    s, pred = scores(true, probs[rows], states), predicted_states(probs, states)
    events = [event_scores(table, rows, true, pred[rows], n)['macro_f1'] for n in (0, 1)]
    f1 = {f'f1 {state}': s['per_state'][state] and s['per_state'][state]['f1'] for state in STATES}
    return dict(nuclei=len(rows), macro_f1=s['macro_f1'], **f1, events_exact=events[0], events_1_frame=events[1])


def pooled(parts, what, numbers):
    "Pool precision and recall over movies, each with its own count."
    precision, recall = ([p[what][k] for p in parts] for k in ('precision', 'recall'))
    n, m = ([p[what][k] for p in parts] for k in numbers)
    return dict(precision=np.average(precision, weights=n), recall=np.average(recall, weights=m))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('run', help='run folder')
    ap.add_argument('--seed', type=int, default=0, help='seed of the movies')
    ap.add_argument('--movies', default='7,8', help='their numbers')
    ap.add_argument('--presets', default='realistic,hard')
    ap.add_argument('--frames', type=int, default=40, help='frames of each')
    ap.add_argument('--folder', help='where the movies are or are to be kept; default: a temporary folder')
    ap.add_argument('--output', default=Path(__file__).with_suffix('.csv'), help='table to write')
    args = ap.parse_args()
    run, tmp, rows = load_run(args.run), Path(tempfile.mkdtemp()), []
    print(f'run {Path(args.run).name}: {run.config["architecture"]}, movies {args.movies} of seed {args.seed}\n')
    try:
        for preset in args.presets.split(','):
            parts, begun = [], time.perf_counter()
            for k in map(int, args.movies.split(',')):
                name = f'sim_{preset}_s{args.seed}_{k:02d}'
                path = Path(args.folder or tmp)/name
                if not path.exists():
                    write_movie(simulate_movie(preset, (args.seed, k), name, args.frames), path.parent)
                parts.append(study(run, open_movie(path), tmp/'samples', args.seed))
            for which in ('raw', 'decoded'):
                rows.append(dict(preset=preset, states=which, **score(parts, which, run.states)))
            gain = {c: rows[-1][c] - rows[-2][c] for c in rows[-1] if isinstance(rows[-1][c], float)}
            links = pooled(parts, 'links', ('n_links', 'n_links'))
            suspects = pooled(parts, 'suspects', ('n_listed', 'n_wrong'))
            rows[-1] |= {f'{name} {k}': v for name, d in (('links', links), ('suspects', suspects))
                         for k, v in d.items()}
            print(f'{preset}: {time.perf_counter() - begun:.0f} s; the worst of the gains is '
                  f'{min(gain, key=gain.get)} {min(gain.values()):+.3f}')
            print(f'  links from the segmentation: precision {links["precision"]:.3f}, recall {links["recall"]:.3f}')
            print(f'  suspicious places, 5 % of the links wrong: precision {suspects["precision"]:.2f}, '
                  f'recall {suspects["recall"]:.2f}')
    finally: shutil.rmtree(tmp)
    table = pd.DataFrame(rows)
    table.to_csv(args.output, index=False, float_format='%.4f')
    print('\n' + table.iloc[:, :10].round(3).to_string(index=False))


if __name__ == '__main__': main()
