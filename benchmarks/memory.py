"""Measure the memory of a prediction: `python benchmarks/memory.py` (a minute; `--model` for another network).

Movies of 20, 60 and 200 frames of 56 × 144 × 144 voxels with four nuclei each are predicted, each in a process of its
own, whose peak memory is written to `memory.csv`: before the first frame, and in all. The weights are random, which
changes neither.
"""
import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch

from speed import Balls, write_tiffs
from nucleus_cls.core import STATES, write_json
from nucleus_cls.movies.open import open_movie
from nucleus_cls.transforms.preprocess import Preprocess
from nucleus_cls.models.registry import build_model, choose_channels
from nucleus_cls.models.run import load_run, save_weights
from nucleus_cls.prediction.whole_movie import predict_movie

LENGTHS, NUCLEI, SHAPE = (20, 60, 200), 4, (56, 144, 144)


def write_run(name, folder):
    "Write a run folder with a network that has learned nothing."
    torch.manual_seed(0)
    model = build_model(name, len(STATES))
    save_weights(model, folder/'best_model.safetensors')
    write_json(folder/'config.json', dict(format_version=1, model_settings=model.settings, states=STATES,
                                          preprocessing=Preprocess(channels=choose_channels(name)).to_dict(),
                                          logit_adjust=[0.]*len(STATES)))


def peak():
    "Peak memory of this process, in MB; what the system counts in `getrusage` may be its parent's."
    try: return next(int(row.split()[1]) for row in open('/proc/self/status') if row.startswith('VmHWM'))/1e3
    except OSError: return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1e3


def child(run, movie, n_frames):
    "Predict some frames, and print the peak memory after the imports and after all, in MB."
    run, movie = load_run(Path(run), 'cpu'), open_movie(movie)
    begun = peak()
    predict_movie(run, movie, movie.frames[:int(n_frames)])
    print(begun, peak())


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--model', default='4ncnn', help='architecture')
    ap.add_argument('--child', nargs=3, help=argparse.SUPPRESS)
    args = ap.parse_args()
    if args.child: return child(*args.child)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_run(args.model, Path(folder)/'run')
        movie = write_tiffs(Balls(max(LENGTHS), NUCLEI, SHAPE), folder)
        for n in LENGTHS:
            command = [sys.executable, __file__, '--child', f'{folder}/run', str(movie.source), str(n)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            before, most = (round(float(word)) for word in said[-2:])
            rows.append(dict(model=args.model, frames=n, nuclei=NUCLEI*n, before_mb=before, peak_mb=most))
    table = pd.DataFrame(rows)
    table.to_csv(Path(__file__).with_suffix('.csv'), index=False)
    print(table.to_string(index=False))


if __name__ == '__main__': main()
