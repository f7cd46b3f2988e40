"""What decoding over time brings to trained runs, and how good the list of suspicious places is.

    python benchmarks/decoding.py RUN [RUN …] [--seed 0] [--movies 7,8] [--presets realistic,hard]

RUN is a run folder, or `pretrained`, that has not seen these movies; they are simulated (or left where they are, with
--folder) as `nucleus_simulate --n_movies 8 --seed 0` makes them. Each is predicted once, nucleus by nucleus, and
decoded on links made from the segmentation alone. Both are scored on every nucleus, and by events, exact and one frame
off along the lineage. Then one in twenty of the true lineage's links is cut or led astray, and the suspicious places
are compared with that. Run again, it goes on: what the networks said is kept in --work. Writes `decoding.csv` and
`decoding.md` beside this file (or --output, without the ending). Nothing is tuned here: the shares and weights of
decoding come from movies of other seeds (see `links.py`).
"""
import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from nucleus_cls.core import STATES, atomic_path, write_text
from nucleus_cls.simulation.movies import simulate_movie, write_movie
from nucleus_cls.movies.open import open_movie
from nucleus_cls.samples.extract import extract_movie
from nucleus_cls.models.run import pick_states
from nucleus_cls.models.pretrained import open_run
from nucleus_cls.training.metrics import score_predictions, choose_scored
from nucleus_cls.prediction.predictions import Predictions
from nucleus_cls.movies.fates import describe_links
from nucleus_cls.movies.links import link_movie, score_links
from nucleus_cls.prediction.decode import compute_missing_prior, decode
from nucleus_cls.prediction.conflicts import corrupt_lineage, find_conflicts, score_conflicts
from nucleus_cls.prediction.whole_movie import predict_movie, make_run_key
from nucleus_cls.evaluation.events import score_events

KEY, HERE = ['frame', 'nucleus_id'], Path(__file__).with_suffix('')
F1 = [f'f1 {s}' for s in STATES]
SHOWN = dict(zip(['macro_f1', *F1, 'events_exact', 'events_1_frame'],
                 ['macro-F1', *(s.replace('_', ' ') for s in STATES), 'events ±0', 'events ±1']))


def predict(run, movie, work):
    "The network's own opinion of every nucleus, computed once."
    folder = Path(work)/f'{make_run_key(run)[:12]}_{movie.name}'
    if not (folder/'predictions.csv').exists(): predict_movie(run, movie, output_dir=folder, decode=False)
    table = pd.read_csv(folder/'predictions.csv', keep_default_na=False, na_values={f'p_{s}': [''] for s in run.states})
    return Predictions(table, run.states)


def study(run, movie, work, seed):
    "Predict and decode one movie: probabilities of its samples, and what links and suspects are worth."
    raw, lineage, (links, nuclei) = predict(run, movie, work), movie.lineage(), link_movie(movie)
    kinds = describe_links(nuclei, links, movie.voxel_size, movie.seg(movie.frames[0]).shape)
    decoded = decode(raw, links, kinds, adjust=compute_missing_prior(run))
    samples = extract_movie(movie, Path(work)/'samples')
    at = pd.MultiIndex.from_frame(raw.table[KEY].astype(int))
    at = at.get_indexer(pd.MultiIndex.from_frame(samples.table[KEY].astype(int)))
    assert (at >= 0).all()
    spoilt, touched = corrupt_lineage(lineage, .05, seed)
    found = score_conflicts(find_conflicts(raw, links, spoilt), touched)
    return dict(table=samples.table, complete=samples.complete, raw=raw.probs[at], decoded=decoded.probs[at],
                links=score_links(links, lineage), suspects=found)


def score(parts, which, states):
    "Score the movies of a preset together, on every nucleus."
    table = pd.concat([p['table'] for p in parts], ignore_index=True)
    complete = {m: c for p in parts for m, c in p['complete'].items()}
    rows, true = choose_scored(table, complete)['every_nucleus']
    probs = np.concatenate([p[which] for p in parts])
    s, pred = score_predictions(true, probs[rows], states), pick_states(probs, states)
    events = [score_events(table, rows, true, pred[rows], n)['macro_f1'] for n in (0, 1)]
    per_state = {f'f1 {state}': s['per_state'][state] and s['per_state'][state]['f1'] for state in STATES}
    return dict(nuclei=len(rows), macro_f1=s['macro_f1'], **per_state, events_exact=events[0], events_1_frame=events[1])


def pooled(parts, what, numbers):
    "Pool precision and recall over movies, each with its own count."
    weights = ([p[what][k] for p in parts] for k in numbers)
    return {f'{what} {k}': np.average([p[what][k] for p in parts], weights=w)
            for k, w in zip(('precision', 'recall'), weights)}


def find_movie(args, preset, k):
    "A movie of the folder, simulated if it is not there."
    name = f'sim_{preset}_s{args.seed}_{k:02d}'
    places = [Path(args.folder or args.work)/part/name for part in ('', preset, f'{preset}/movies')]
    path = next((p for p in places if p.exists()), None)
    return open_movie(path or write_movie(simulate_movie(preset, (args.seed, k), name, args.frames), places[0].parent))


def measure(run, name, preset, args):
    "Two rows: a run's scores on the movies of a preset, raw and decoded."
    movies = [find_movie(args, preset, k) for k in map(int, args.movies.split(','))]
    split = run.config.get('split', {})
    known = {m.name for m in movies} & {*split.get('train_movies', ()), *split.get('val_movies', ())}
    if known: raise SystemExit(f'{name}: was trained on {", ".join(sorted(known))}; choose other --movies')
    parts = [study(run, movie, args.work, args.seed) for movie in movies]
    rows = [dict(run=name, preset=preset, states=which, **score(parts, which, run.states))
            for which in ('raw', 'decoded')]
    rows[1] |= pooled(parts, 'links', ('n_links', 'n_links')) | pooled(parts, 'suspects', ('n_listed', 'n_wrong'))
    return rows


def to_markdown(table):
    "Scores before and after decoding, a line for each run and preset, and the smallest of the gains."
    lines = ['| run | preset | nuclei | ' + ' | '.join(SHOWN.values()) + ' | links | suspicious places |',
             '|---|---|--:|' + '---|'*(len(SHOWN) + 2)]
    for (name, preset), pair in table.groupby(['run', 'preset'], sort=False):
        raw, new = pair.to_dict('records')
        cells = [f'{raw[c]:.3f} → {new[c]:.3f}' for c in SHOWN]
        cells += [f'{new[f"{what} precision"]:.3f} / {new[f"{what} recall"]:.3f}' for what in ('links', 'suspects')]
        lines.append(f'| {name} | {preset} | {raw["nuclei"]:,} | ' + ' | '.join(cells) + ' |')
    gains = table.groupby(['run', 'preset'], sort=False)[list(SHOWN)].agg(lambda pair: pair.iloc[1] - pair.iloc[0])
    (name, preset), state = (worst := gains[F1].stack()).idxmin()[:2], worst.idxmin()[2]
    return '\n'.join(['Every nucleus; each by itself → decoded over time. Links and places: precision / recall.', '',
                      *lines, '', f'The smallest gain in macro-F1 is {gains["macro_f1"].min():+.3f}; that of a single '
                      f'state {worst.min():+.3f} ({state.removeprefix("f1 ")} of {name} on {preset}).', ''])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('runs', nargs='+', help='run folders, or pretrained')
    ap.add_argument('--seed', type=int, default=0, help='seed of the movies')
    ap.add_argument('--movies', default='7,8', help='their numbers')
    ap.add_argument('--presets', default='realistic,hard')
    ap.add_argument('--frames', type=int, default=40, help='frames of each')
    ap.add_argument('--folder', help='where the movies are, or are to be kept; default: in --work')
    ap.add_argument('--work', default=str(Path(tempfile.gettempdir())/'nucleus_decoding'), help='where work is kept')
    ap.add_argument('--output', default=str(HERE), help='path of the table, without .csv and .md')
    args = ap.parse_args()
    rows = []
    for text in args.runs:
        path, run = Path(text).resolve(), open_run(text)
        name = text if not path.is_dir() else '/'.join(p for p in path.parts[-4:] if p not in ('benchmark', 'runs'))
        for preset in args.presets.split(','): rows += measure(run, name, preset, args)
        table = pd.DataFrame(rows)
        with atomic_path(f'{args.output}.csv') as tmp: table.to_csv(tmp, index=False, float_format='%.4f')
        write_text(f'{args.output}.md', to_markdown(table))
    shutil.rmtree(Path(args.work)/'samples', ignore_errors=True)
    print(to_markdown(table))


if __name__ == '__main__': main()
