"""Measure the prediction of whole movies: `python benchmarks/movies.py` (some minutes; `--model` for another network).

A movie is written as zlib-compressed TIFFs: a simulated embryo, or with `--large` frames of 243 × 512 × 512 voxels
with 60 nuclei each. Then three things are timed in turn, several rounds, the quickest of each counting, and compared
as ratios, since machines differ and drift:

- reading every file once,
- the network's forward alone, on the same crops in the same batches, which are in memory already,
- `predict_movie`: reading, cutting, scaling, the network, linking, decoding and writing.

Peak memory is that of a process of its own that predicts 20 frames, and of another one that predicts all. With
`--memory` nothing is timed, and memory alone is measured at 20, 60 and 200 frames of 56 × 144 × 144 voxels with four
nuclei each; `movies.csv` beside this file holds the result. The weights are random: they change neither. On a busy
machine, `--processor` counts processor time instead of time on the clock; what reading ahead saves is not seen then.
"""
import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from extraction import Large, read_once, write_compressed
from nucleus_cls.core import STATES, write_json
from nucleus_cls.simulation.movies import simulate_movie
from nucleus_cls.movies.open import open_movie
from nucleus_cls.transforms.preprocess import Preprocess
from nucleus_cls.models.registry import build_model, choose_channels
from nucleus_cls.models.run import load_run, save_weights
from nucleus_cls.prediction.whole_movie import predict_movie, stream_movie

SHOWN = 20   # frames of the shorter movie
LENGTHS = 20, 60, 200   # frames, where memory alone is measured


class Sparse(Large):
    "A long movie of small frames with four nuclei each."
    name = 'sparse'

    def __init__(self, n_frames):
        self.frames, self.graph = list(range(n_frames)), {'G': {'Nodes': [], 'Edges': []}}
        self.noise = np.random.default_rng(0).normal(105, 8, (56, 144, 144)).astype(np.uint16)
        self.centres = [(28, y, x) for y in (45, 100) for x in (45, 100)]


def write_run(name, folder):
    "Write a run folder with a network that has learned nothing."
    torch.manual_seed(0)
    model = build_model(name, len(STATES))
    save_weights(model, folder/'best_model.safetensors')
    write_json(folder/'config.json', dict(format_version=1, model_settings=model.settings, states=STATES,
                                          preprocessing=Preprocess(channels=choose_channels(name)).to_dict(),
                                          logit_adjust=[0.]*len(STATES)))


def forward(run, tensors):
    "Run the network alone, in batches of 64 as prediction does."
    for xb in np.split(tensors, range(64, len(tensors), 64)): run.probs(xb)


def memory(folder, n_frames):
    "Predict some frames in a process of its own; its peak memory in MB, at the start and at the end."
    done = subprocess.run([sys.executable, __file__, '--child', str(folder), str(n_frames)], capture_output=True,
                          text=True, check=True)
    return [float(word) for word in done.stdout.split()[-2:]]


def peak():
    "Peak memory of this process, in MB; what the system counts in `getrusage` may be its parent's."
    try: return next(int(row.split()[1]) for row in open('/proc/self/status') if row.startswith('VmHWM'))/1e3
    except OSError: return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1e3


def child(folder, n_frames):
    "Predict, and print the peak memory after the imports and after all, in MB."
    run, movie = load_run(Path(folder)/'run', 'cpu'), open_movie(next(Path(folder).glob('movie/*')))
    begun = peak()
    predict_movie(run, movie, movie.frames[:int(n_frames)])
    print(begun, peak())


def measure_memory(name, folder):
    "Write the peak memory of movies of several lengths."
    write_run(name, folder/'run')
    path = write_compressed(Sparse(max(LENGTHS)), folder/'movie')
    peaks = {n: memory(folder, n) for n in LENGTHS}
    rows = [dict(model=name, frames=n, nuclei=4*n, before_mb=begun, peak_mb=end) for n, (begun, end) in peaks.items()]
    table = pd.DataFrame(rows).round(0).astype(dict(before_mb=int, peak_mb=int))
    table.to_csv(Path(__file__).with_suffix('.csv'), index=False)
    print(f'{path.name}: frames of (56, 144, 144)\n{table.to_string(index=False)}')


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--frames', type=int, default=60, help='frames of the movie')
    ap.add_argument('--rounds', type=int, default=3, help='rounds; the quickest of each counts')
    ap.add_argument('--model', default='4ncnn', help='architecture')
    ap.add_argument('--large', action='store_true', help='frames of 243 × 512 × 512 voxels (try --frames 24)')
    ap.add_argument('--memory', action='store_true', help='measure memory alone, at 20, 60 and 200 frames')
    ap.add_argument('--processor', action='store_true', help='count processor time')
    ap.add_argument('--child', nargs=2, help=argparse.SUPPRESS)
    args = ap.parse_args()
    if args.child: return child(*args.child)
    clock, folder = time.process_time if args.processor else time.perf_counter, Path(tempfile.mkdtemp())

    def timed(function, *given):
        begun = clock()
        function(*given)
        return clock() - begun

    try:
        if args.memory: return measure_memory(args.model, folder)
        write_run(args.model, folder/'run')
        run = load_run(folder/'run', 'cpu')
        sim = Large(args.frames) if args.large else simulate_movie('realistic', seed=0, n_frames=args.frames)
        movie = open_movie(write_compressed(sim, folder/'movie'))
        shape = movie.image(movie.frames[0]).shape
        found = predict_movie(run, movie, movie.frames[:2])          # imports and start-up are not counted
        xs = np.stack([x for _, x in stream_movie(movie, run.preprocess, movie.frames[:24]) if x is not None])
        n_all, rounds = 0, []
        for n in range(args.rounds):
            part = timed(forward, run, xs)
            begun = clock()
            found = predict_movie(run, movie, output_dir=folder/f'out{n}')
            took, n_all = clock() - begun, len(found)
            rounds.append([timed(read_once, movie), part*n_all/len(xs), took])
        read, net, took = np.min(rounds, axis=0)
        few, many = memory(folder, SHOWN), memory(folder, args.frames)
        print(f'movie           {len(movie.frames)} frames of {shape}, {n_all} nuclei, model {args.model}')
        print(f'reading once    {read:8.2f} s   {read/len(movie.frames):6.3f} s a frame')
        print(f'forward alone   {net:8.2f} s   {n_all/net:6.0f} nuclei/s')
        print(f'predict_movie   {took:8.2f} s   {n_all/took:6.0f} nuclei/s, {took/max(read, net):.2f} × the larger of '
              f'the two, {took/(read + net):.2f} × their sum')
        print(f'memory          {few[1]:8.0f} MB at {SHOWN} frames, {many[1]:.0f} MB at {args.frames} '
              f'(of which {few[0]:.0f} MB before the first frame)')
    finally: shutil.rmtree(folder)


if __name__ == '__main__': main()
