"""Measure training settings, one changed at a time: `python benchmarks/settings.py` (half an hour on two cores).

Simulated movies are made and extracted once: some to train on, others to score. Every line is a short training with
the default settings but for one change, with several seeds, scored over every nucleus of the other movies: macro-F1
and the mean over states of the average precision (less noisy). What is done is kept in the output folder, so an
interrupted measurement goes on where it stopped. The table goes to `settings.csv` in the folder of the benchmarks.
"""
import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault('TQDM_DISABLE', '1')

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from nucleus_cls.core import read_json, write_json
from nucleus_cls.simulation.movies import simulate_movie
from nucleus_cls.movies.open import open_movie
from nucleus_cls.samples.samples import open_samples
from nucleus_cls.samples.extract import extract_movie
from nucleus_cls.transforms.tensors import fit_shape, from_cache
from nucleus_cls.transforms.cache import load_cache
from nucleus_cls.training.config import load_config
from nucleus_cls.training.targets import choose_targets
from nucleus_cls.training.metrics import score_predictions
from nucleus_cls.training.loop import fit

CHANGES = {
    'defaults': {},
    'loss weighted, balance 0': dict(loss='weighted', balance=0.),
    'loss focal': dict(loss='focal'),
    'label_smoothing 0.1': dict(label_smoothing=.1),
    'hard_negatives 3': dict(hard_negatives=3.),
    'ema 0.99': dict(ema=.99),
    'zoom 0.33': dict(zoom=.33),
    'elastic 1.5': dict(elastic=1.5),
    'drift 1': dict(drift=1.),
    'cube': dict(cube=True),
    'blur 0.7': dict(blur=.7),
    'attenuation 0.3': dict(attenuation=.3),
    'dim 0.2': dict(dim=.2),
    'drop_frame 0.1': dict(drop_frame=.1),
    'no rotation, zoom, shift': dict(turned=0., rotation=0., zoom=0., shift=0.),
    'no change of light': dict(contrast=0., brightness=0., gamma=0., noise=0.),
}


def make_samples(folder, preset, seeds):
    "Simulate and extract movies, unless that was done before."
    for seed in seeds:
        if (folder/f'movie_{seed}.zarr').exists(): continue
        extract_movie(open_movie(simulate_movie(preset, seed=seed, name=f'movie_{seed}', n_frames=40)), folder)
    return open_samples(folder)


def score(run, samples):
    "Macro-F1 and mean average precision over every nucleus of the samples."
    target, prep = choose_targets(samples.table), run.preprocess
    cache = load_cache(samples, np.flatnonzero(target != ''), prep, prep.tensor_size)
    at, true = np.arange(len(cache.rows)), target[cache.rows]
    probs = np.concatenate([run.probs(fit_shape(from_cache(*cache.batch(some), prep.channels), prep.tensor_size))
                            for some in np.array_split(at, len(at)//256 + 1)])
    ap = [average_precision_score(true == s, probs[:, k]) for k, s in enumerate(run.states) if (true == s).any()]
    return dict(macro_f1=score_predictions(true, probs, run.states)['macro_f1'], mean_ap=float(np.mean(ap)))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--preset', default='hard', help='of the simulated movies')
    ap.add_argument('--seeds', type=int, default=2, help='seeds of each training')
    ap.add_argument('--num_epochs', type=int, default=6)
    ap.add_argument('--epoch_samples', type=int, default=640)
    ap.add_argument('--tensor_size', type=int, default=24, help='edge of what the network sees; small is quick')
    ap.add_argument('--model', default='4ncnn')
    ap.add_argument('--changes', type=int, default=len(CHANGES), help='only so many of the changes, the first ones')
    ap.add_argument('--output_dir', default=None, help='where to keep what is done (default: nowhere)')
    args = ap.parse_args()
    folder = Path(args.output_dir or tempfile.mkdtemp())
    known = make_samples(folder/args.preset/'known', args.preset, range(100, 104))
    new = make_samples(folder/args.preset/'new', args.preset, range(104, 107))
    rows = []
    for seed in range(args.seeds):
        for k, (name, change) in enumerate(list(CHANGES.items())[:args.changes]):
            done = folder/args.preset/f'{args.model}_{k}_{seed}.json'
            if not done.exists():
                config = load_config(num_epochs=args.num_epochs, epoch_samples=args.epoch_samples, seed=seed,
                                     model=args.model, tensor_size=args.tensor_size, split='lineage',
                                     patience=args.num_epochs, **change)
                run = fit(known, folder/args.preset/f'run_{args.model}_{k}_{seed}', config, resume=True,
                            progress=False)
                write_json(done, score(run, new))
            rows.append(dict(change=name, seed=seed, **read_json(done)))
            print(f'{name:28} seed {seed}  macro-F1 {rows[-1]["macro_f1"]:.3f}  mean AP {rows[-1]["mean_ap"]:.3f}',
                  flush=True)
    table = pd.DataFrame(rows).drop(columns='seed').groupby('change', sort=False)
    table = table.mean().round(3).join(table['mean_ap'].std().round(3).rename('sd of mean_ap'))
    table.to_csv(Path(__file__).with_suffix('.csv'))
    print(table)


if __name__ == '__main__': main()
