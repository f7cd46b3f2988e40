"""Measure what the shipped network saves: `python benchmarks/finetune.py` (about half an hour on two cores).

From 10, 50 and 200 samples of two simulated movies of one preset, a network is trained from random weights, and from
the network that comes with the package (`init = "pretrained"`) at several learning rates, with the same settings
otherwise. A third movie picks the epoch, and both are scored on a fourth and fifth, all their events among 500 other nuclei, by the
average precision of mitotic and of new_daughter, which no threshold enters. Runs that are there are not repeated. The
table goes to `finetune.csv` beside this file; n = 0 is the shipped network as it is. The movies are of a kind the shipped
network knows (`hard`), and of one it cannot know: the same with dark nuclei on a bright ground.
"""
import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from nucleus_cls.core import write_json
from nucleus_cls.simulation.movies import simulate_movie
from nucleus_cls.movies.open import open_movie
from nucleus_cls.samples.samples import open_samples
from nucleus_cls.samples.extract import extract_movie
from nucleus_cls.models.pretrained import open_run
from nucleus_cls.training.config import load_config
from nucleus_cls.training.targets import choose_targets
from nucleus_cls.training.loop import fit
from nucleus_cls.prediction.predictions import predict_probs

EVENTS = ('mitotic', 'new_daughter')


def open_kind(movie, kind):
    "Show a movie as it is, or with dark nuclei on a bright ground."
    if kind == 'known': return movie
    return replace(movie, read_image=lambda t: np.uint16(np.clip(3000 - movie.image(t).astype(int), 0, 3000)))


def make_samples(folder, preset, seed, kind):
    "Simulate five movies and extract their samples."
    names = [f'{preset}_{k}' for k in range(1, 6)]
    for k, name in enumerate(names, 1):
        if not (folder/f'{name}.zarr').is_dir():
            movie = open_movie(simulate_movie(preset, (seed, k), name, n_frames=30))
            extract_movie(open_kind(movie, kind), folder)
    return open_samples(folder), names


def choose(samples, target, names, n, seed):
    "Draw n samples, states as alike as can be, from two movies, and nuclei of a third to pick the epoch by."
    rng, movie = np.random.default_rng(seed), samples.table['movie'].to_numpy()
    lots = {s: rng.permutation(np.flatnonzero((target == s) & np.isin(movie, names[:2]))) for s in (*EVENTS, 'stable')}
    share = {s: min(n//3 if s != 'stable' else n, len(rows)) for s, rows in lots.items()}
    share['stable'] = n - share['mitotic'] - share['new_daughter']
    train_rows = np.concatenate([rows[:share[s]] for s, rows in lots.items()])
    third = np.flatnonzero((movie == names[2]) & (target != ''))
    val_rows = np.concatenate([third[np.isin(target[third], EVENTS)],
                               rng.permutation(third[target[third] == 'stable'])[:150]])
    return samples.select(np.isin(np.arange(len(movie)), np.concatenate([train_rows, val_rows])))


def precisions(run, samples, target):
    "Score every nucleus: average precision of each event."
    from sklearn.metrics import average_precision_score
    probs, _ = predict_probs(run, samples)
    known = target != ''
    return {s: float(average_precision_score(target[known] == s, probs[known][:, list(run.states).index(s)]))
            for s in EVENTS}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--work', default='finetuning', help='folder for samples and runs (default finetuning)')
    ap.add_argument('--preset', default='hard', help='preset of the movies')
    ap.add_argument('--seed', type=int, default=300, help='seed of the movies')
    ap.add_argument('--seeds', type=int, default=3, help='repeats, with other samples and first weights')
    ap.add_argument('--sizes', default='10,50,200', help='numbers of samples')
    ap.add_argument('--num_epochs', type=int, default=6, help='epochs of 256 draws')
    ap.add_argument('--rates', default='0,3e-3,1e-3,3e-4,1e-4', help='learning rates from the shipped network; 0: the default')
    ap.add_argument('--kinds', default='known,foreign', help='kinds of movies')
    args = ap.parse_args()
    found = [row for kind in args.kinds.split(',') for row in compare(Path(args.work)/kind, kind, args)]
    table = pd.DataFrame(found).groupby(['kind', 'n', 'start', 'lr'], sort=False)[list(EVENTS)].agg(['mean', 'std'])
    table.round(3).to_csv(Path(__file__).with_suffix('.csv'))
    print(table.round(3).to_string())


def compare(work, kind, args):
    "Train from either start on few and many samples of one kind of movies; yields a row a network."
    starts = [('none', 3e-3), *(('pretrained', float(rate)) for rate in args.rates.split(','))]
    samples, names = make_samples(work/'samples', args.preset, args.seed, kind)
    target = choose_targets(samples.table).astype(str)
    target[target == 'death'] = ''
    test = samples.table['movie'].isin(names[3:]).to_numpy(copy=True)
    stable = np.flatnonzero(test & (target == 'stable'))
    test[np.random.default_rng(0).permutation(stable)[500:]] = False
    pretrained = open_run('pretrained')
    scores = precisions(pretrained, samples.select(test), target[test])
    yield dict(kind=kind, n=0, start='pretrained', lr=0., seed=0, **scores)
    for n in map(int, args.sizes.split(',')):
        for seed in range(args.seeds):
            for start, lr in starts:
                folder = work/f'{start}_{lr:g}_{n}_{seed}'
                if not (folder/'scores.json').is_file():
                    shutil.rmtree(folder, ignore_errors=True)
                    config = load_config(model=pretrained.config['architecture'], init=start, val=(names[2],), lr=lr,
                                         states=(*EVENTS, 'stable'), num_epochs=args.num_epochs, epoch_samples=256,
                                         seed=seed, patience=args.num_epochs)
                    run = fit(choose(samples, target, names, n, seed), folder, config, progress=False)
                    write_json(folder/'scores.json', precisions(run, samples.select(test), target[test]))
                scores = json.loads((folder/'scores.json').read_text())
                row = dict(kind=kind, n=n, start='random' if start == 'none' else start, lr=lr, seed=seed, **scores)
                print(row, flush=True)
                yield row


if __name__ == '__main__': main()
