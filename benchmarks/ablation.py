"""What each part of nucleusnet brings: `python benchmarks/ablation.py` (hours on two cores; run again to go on).

Eight simulated movies a preset, made with a seed of their own and used for nothing else: six to learn from, two
held out. Every variant learns from each seed with the default recipe for a fixed number of epochs; the weights after
the last one are scored on every nucleus of the held-out movies, with all channels and with the outlines unknown.
Each variant changes one thing of the one before it. A finished training is one line of the CSV and is not repeated.
"""
import argparse
import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from nucleus_cls.core import atomic_path
from nucleus_cls.simulation.movies import simulate_movie
from nucleus_cls.movies.open import open_movie
from nucleus_cls.samples.samples import open_samples
from nucleus_cls.samples.extract import extract_movie
from nucleus_cls.transforms.preprocess import CHANNELS
from nucleus_cls.transforms.tensors import fit_shape, from_cache
from nucleus_cls.models.baselines import BASIC_CHANNELS
from nucleus_cls.models.registry import build_model, count_parameters
from nucleus_cls.models.run import compute_prior_shift
from nucleus_cls.training.config import load_config
from nucleus_cls.training.metrics import score_predictions
from nucleus_cls.training.prepare import prepare_training
from nucleus_cls.training.epoch import cut_batches, make_optimizer, train_epoch

LAST = torch.channels_last_3d
#: name → (model, its settings); in the order of the story, from the published network to ours
PLAIN = dict(widths=(16, 32, 64), n_residual=0, by_region=False, measures=False, per_frame=False)
VARIANTS = {'4ncnn': ('4ncnn', {}),
            '+ outlines': ('4ncnn', dict(channels=CHANNELS)),
            '+ stem': ('nucleusnet', PLAIN),
            '+ regions': ('nucleusnet', PLAIN | dict(by_region=True, measures=True)),
            '+ residual, width': ('nucleusnet', dict(per_frame=False)),
            'nucleusnet': ('nucleusnet', {})}


def make_samples(preset, folder, seed, n_movies=8, n_frames=40):
    "Simulate and extract the movies of a preset, or take them where they are."
    for k in range(n_movies):
        name, store = f'{preset}_{k}', folder/'samples'/preset
        if (store/f'{name}.ok').exists(): continue
        extract_movie(open_movie(simulate_movie(preset, (seed, k), name, n_frames)), store)
        (store/f'{name}.ok').touch()
    return open_samples(folder/'samples'/preset)


def learn(name, settings, m, config):
    "Train one network with the steps of the package's own loop; return it and the seconds of processor time."
    torch.manual_seed(config.seed)
    model = build_model(name, len(m.states), dropout=config.dropout, **settings).to(memory_format=LAST)
    n_steps = len(cut_batches(config.epoch_samples, config.batch_size)) + 1
    opt, schedule = make_optimizer(model, config, n_steps)
    start = time.process_time()
    for epoch in range(config.num_epochs): train_epoch(model, opt, schedule, m, config, epoch)
    return model.eval(), time.process_time() - start


@torch.inference_mode()
def judge(model, m, prior, movies, known=True):
    "Score every held-out nucleus, all together and movie by movie; `known`: are the outlines?"
    out = []
    for some in np.split(m.val_at, range(64, len(m.val_at), 64)):
        xb = torch.from_numpy(fit_shape(from_cache(*m.cache.batch(some), m.prep.channels), m.prep.tensor_size))
        out.append(model((xb if known else xb[:, :len(BASIC_CHANNELS)]).contiguous(memory_format=LAST)))
    natural = [(m.y == k).sum() for k in range(len(m.states))]
    probs = (torch.cat(out).double() + torch.tensor(compute_prior_shift(natural, m.shares, prior))).softmax(1).numpy()
    row = {}
    for movie in ('', *sorted(set(movies))):
        here = (movies == movie) | (movie == '')
        s = score_predictions(m.val_true[here], probs[here], m.states)
        if movie: row[f'macro_f1 {movie}'] = s['macro_f1']
        else: row |= {'macro_f1': s['macro_f1']} | {
            f'ap {state}': v['average_precision'] for state, v in s['per_state'].items() if v}
    return row


@torch.inference_mode()
def time_ratio(model, rounds=7):
    "Time the prediction of a batch against 4ncnn, in turn, on one core; the quickest round of each."
    threads, x = torch.get_num_threads(), torch.rand(32, 7, 32, 32, 32).contiguous(memory_format=LAST)
    pair, best = (build_model('4ncnn', model.n_states).to(memory_format=LAST).eval(), model), [math.inf]*2
    torch.set_num_threads(1)
    for _ in range(rounds):
        for k, net in enumerate(pair):
            start = time.process_time()
            net(x)
            best[k] = min(best[k], time.process_time() - start)
    torch.set_num_threads(threads)
    return best[1]/best[0]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--output', type=Path, default=Path(__file__).with_suffix('.csv'), help='table to fill')
    ap.add_argument('--folder', type=Path, default=Path('ablation'), help='where movies are kept')
    ap.add_argument('--presets', default='hard', help='presets of the simulator, with commas')
    ap.add_argument('--variants', default='', help='names with commas; default: all')
    ap.add_argument('--seeds', type=int, default=3, help='trainings of each variant')
    ap.add_argument('--num_epochs', type=int, default=12, help='epochs of each training')
    ap.add_argument('--epoch_samples', type=int, default=1024, help='draws in an epoch')
    ap.add_argument('--movie_seed', type=int, default=100, help='seed of the movies')
    args = ap.parse_args()
    for preset in args.presets.split(','):
        samples, m = make_samples(preset, args.folder, args.movie_seed), None
        for seed in range(args.seeds):
            for variant in args.variants.split(',') if args.variants else VARIANTS:
                rows = pd.read_csv(args.output) if args.output.exists() else pd.DataFrame()
                key = dict(preset=preset, variant=variant, seed=seed, epochs=args.num_epochs, draws=args.epoch_samples)
                if len(rows) and (rows[list(key)] == pd.Series(key)).all(axis=1).any(): continue
                name, settings = VARIANTS[variant]
                config = load_config(model='nucleusnet', val=f'{preset}_6,{preset}_7', seed=seed, cache_gib=.5,
                                     num_epochs=args.num_epochs, epoch_samples=args.epoch_samples, device='cpu')
                m = m or prepare_training(samples, config, args.folder)
                movies = samples.table['movie'].to_numpy(str)[m.cache.rows[m.val_at]]
                model, seconds = learn(name, settings, m, config)
                row = key | judge(model, m, config.prior, movies)
                row['macro_f1 outlines unknown'] = judge(model, m, config.prior, movies, False)['macro_f1']
                row |= dict(parameters=count_parameters(model), time=time_ratio(model), seconds=seconds)
                row = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
                rows = pd.read_csv(args.output) if args.output.exists() else pd.DataFrame()   # others may have written
                with atomic_path(args.output) as tmp:
                    pd.concat([rows, pd.DataFrame([row])], ignore_index=True).to_csv(tmp, index=False)
                print(*(f'{k} {v}' for k, v in row.items()), sep='  ', flush=True)


if __name__ == '__main__': main()
