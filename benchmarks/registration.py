"""What moving t-1 and t+1 onto t brings where an embryo drifts: crops compared, networks scored, with and without.

    python benchmarks/registration.py [--drift 0.6,3] [--movies 4] [--frames 24] [--trainings 1] [--seed 100]

Movies are simulated that are alike but for the drift left between frames (`jitter`: its standard deviation along each
axis, in voxels; 0.6 is what the presets have). Three questions: how alike are t and its neighbours, as a correlation
over the middle of the crop; what does the network that comes with the package say, which has not seen registered crops;
and what does a small one, trained and judged either way, on the last movie, which it has not seen. Scores are on every
nucleus. Writes `registration.csv` and `registration.md` beside this file (or --output, without the ending). Use seeds
of 100 and more: those below belong to the tables. The table kept here is of `--movies 1 --frames 22 --trainings 0`.
"""
import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from nucleus_cls.prediction.predictions import predict_probs
from nucleus_cls.core import STATES, atomic_path, write_text
from nucleus_cls.simulation.movies import simulate_movie
from nucleus_cls.movies.open import open_movie
from nucleus_cls.samples.samples import open_samples
from nucleus_cls.samples.extract import extract_movie
from nucleus_cls.transforms.tensors import to_tensor
from nucleus_cls.models.pretrained import open_run
from nucleus_cls.training.config import TrainConfig
from nucleus_cls.training.metrics import score_predictions, choose_scored
from nucleus_cls.training.loop import fit

HERE, WAYS = Path(__file__).with_suffix(''), ('none', 'crop')


def likeness(samples, prep, n=60):
    "Median correlation of t with t-1 and t+1 in the tensors of some samples."
    r = []
    for i in samples.table.index[::max(1, len(samples)//n)]:
        c = samples.crops(i)
        x = to_tensor(c.raw, c.mask, c.imaged, prep, voxel=c.row['voxel_size_um']).reshape(len(prep.channels), -1)
        r += [np.corrcoef(x[1], x[k])[0, 1] for k in (0, 2)]
    return float(np.median(r))


def judge(run, samples):
    "Scores on every nucleus."
    rows, true = choose_scored(samples.table, samples.complete)['every_nucleus']
    s = score_predictions(true, predict_probs(run, samples)[0][rows], run.states)
    states = {k: v for k, v in s['per_state'].items() if v}
    return dict(nuclei=len(rows), macro_f1=s['macro_f1'], **{f'f1 {k}': states[k]['f1'] for k in STATES if k in states},
                mean_ap=float(np.mean([v['average_precision'] or 0 for v in states.values()])))


def measure(drift, args, folder):
    "All rows of one drift."
    for k in range(args.movies):
        sim = simulate_movie(args.preset, (args.seed, k), f'drift_{drift:g}_{k}', args.frames, jitter=drift)
        extract_movie(open_movie(sim), folder, size=64)
    samples = open_samples(folder)
    last = samples.select(samples.table['movie'] == samples.movies[-1])
    shipped, rows = open_run('pretrained'), []
    for way in WAYS:
        run = replace(shipped, preprocess=replace(shipped.preprocess, register=way))
        alike = likeness(last, replace(run.preprocess, channels=run.preprocess.channels[:4]))
        rows.append(dict(drift=drift, network='pretrained', register=way, correlation=alike, **judge(run, last)))
        for seed in range(args.trainings):
            config = TrainConfig(register=way, seed=seed, val=samples.movies[-2], num_epochs=args.epochs,
                                 epoch_samples=args.draws, max_per_state=args.max_per_state)
            learn = samples.select(samples.table['movie'] != samples.movies[-1])
            run = fit(learn, Path(folder)/f'run_{way}_{seed}', config, progress=False)
            rows.append(dict(drift=drift, network=f'4ncnn, seed {seed}', register=way, correlation=alike,
                             **judge(run, last)))
        print(pd.DataFrame(rows).round(3).to_string(), flush=True)
    return rows


def to_markdown(table, args):
    "A line for each drift and network, without registration → with it."
    names = [c for c in table if c not in ('drift', 'network', 'register', 'nuclei')]
    lines = ['| drift, voxels | network | nuclei | ' + ' | '.join(names) + ' |', '|--:|---|--:|' + '---|'*len(names)]
    for (drift, network), pair in table.groupby(['drift', 'network'], sort=False):
        a, b = pair.to_dict('records')
        cells = ' | '.join(f'{a[c]:.3f} → {b[c]:.3f}' for c in names)
        lines.append(f'| {drift:g} | {network} | {a["nuclei"]} | {cells} |')
    return '\n'.join([f'Movies like {args.preset}, {args.frames} frames, {args.movies} of each drift; the last is scored, '
                      f'on every nucleus. Without registration → with it.', '', *lines, ''])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--drift', default='0.6,3', help='standard deviations along each axis, voxels a frame')
    ap.add_argument('--movies', type=int, default=4, help='of each drift; one judges the epochs, one is scored')
    ap.add_argument('--frames', type=int, default=24)
    ap.add_argument('--preset', default='easy')
    ap.add_argument('--trainings', type=int, default=1, help='small networks trained either way')
    ap.add_argument('--epochs', type=int, default=8)
    ap.add_argument('--draws', type=int, default=384, help='in one epoch')
    ap.add_argument('--max_per_state', type=int, default=200)
    ap.add_argument('--seed', type=int, default=100)
    ap.add_argument('--output', default=str(HERE), help='path of the table, without .csv and .md')
    args = ap.parse_args()
    rows = []
    for drift in map(float, args.drift.split(',')):
        with tempfile.TemporaryDirectory() as folder: rows += measure(drift, args, folder)
    table = pd.DataFrame(rows)
    with atomic_path(f'{args.output}.csv') as tmp: table.to_csv(tmp, index=False, float_format='%.4f')
    write_text(f'{args.output}.md', to_markdown(table, args))


if __name__ == '__main__': main()
