"""Measure extraction: `python benchmarks/extraction.py` (under a minute; `--frames 100` for a longer movie).

A movie is written as zlib-compressed TIFFs: a simulated embryo, or with `--large` frames of 243 × 512 × 512 voxels
with 60 nuclei far apart in white noise, the worst case for a store. Then three things are timed in turn, several
rounds, and compared as ratios, since machines differ and drift:

- reading every file once, with tifffile and with our reader (what no extraction can avoid),
- `extract_movie` into a sample store,
- a naive extraction, as first written by most people: for every nucleus a scan of the whole segmentation for its
  bounding box, and uncompressed sample folders (timed on a few nuclei and scaled up).

With `--starts`, the ways to start processes are compared instead: the first movie, and the median of those after it.
"""
import argparse
import json
import resource
import shutil
import tempfile
import time
from functools import partial
from itertools import pairwise
from multiprocessing import get_all_start_methods
from pathlib import Path

import numpy as np
import tifffile

from nucleus_cls.core import to_plain
from nucleus_cls.simulation.movies import simulate_movie
from nucleus_cls.movies.open import open_movie
from nucleus_cls.samples.store import measure_folder
from nucleus_cls.samples.extract import extract_movie
from nucleus_cls.samples import single_pass
from nucleus_cls import workers

NAMES = {'image': 'registered_images/nuclei_reg8', 'seg': 'registered_label_images/label_reg8'}


class Large:
    "A movie of large frames: nuclei far apart, in noise."
    name, voxel_size = 'large', (1., 1., 1.)

    def __init__(self, n_frames):
        self.frames, rng = list(range(n_frames)), np.random.default_rng(0)
        self.noise = rng.normal(105, 8, (243, 512, 512)).astype(np.uint16)
        self.centres = [(z, y, x) for z in (30, 120, 210) for y in range(80, 440, 85) for x in range(80, 440, 115)]
        names = [[f'{t:03d}_{k:03d}' for k in range(1, len(self.centres) + 1)] for t in self.frames]
        links = [{'EndNodes': pair} for a, b in pairwise(names) for pair in zip(a, b)]
        self.graph = {'G': {'Nodes': [{'Name': name} for some in names for name in some], 'Edges': links}}

    def seg(self, t):
        seg = np.zeros(self.noise.shape, np.uint16)
        for k, centre in enumerate(self.centres, 1): seg[tuple(slice(c - 9, c + 9) for c in centre)] = k
        return seg

    def image(self, t): return np.roll(self.noise, 7*t, axis=2) + np.uint16(150)*(self.seg(t) > 0)


def write_compressed(sim, folder):
    "Write a simulated movie as zlib-compressed TIFFs."
    for t in sim.frames:
        for what, name in NAMES.items():
            path = Path(folder)/sim.name/f'{name}_{t}.tif'
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, getattr(sim, what)(t), compression='zlib', compressionargs={'level': 1})
    (Path(folder)/sim.name/'LineageGraph.json').write_text(json.dumps(to_plain(sim.graph)))
    return Path(folder)/sim.name


def read_once(movie):
    "Read every image and every segmentation."
    for t in movie.frames: movie.image(t), movie.seg(t)


def read_plainly(movie):
    "Read every file as most people would."
    for name in NAMES.values():
        for path in sorted(Path(movie.source).glob(f'{name}_*.tif')): tifffile.imread(path)


def naive(movie, rows, output):
    "Write samples one by one, with a scan of the volume each."
    for row in rows:
        t, n = row['frame'], row['nucleus_id']
        seg = movie.seg(t)
        where = np.argwhere(seg == n)
        low = (where.min(0) + where.max(0))//2 - 32
        cut = lambda vol: np.pad(vol, 64)[tuple(slice(a + 64, a + 128) for a in low)]
        path = Path(output)/f'{t}_{n}'
        path.mkdir(parents=True)
        for d in (-1, 0, 1): tifffile.imwrite(path/f'raw{d}.tif', cut(movie.image(t + d)))
        tifffile.imwrite(path/'label.tif', cut(seg))
        tifffile.imwrite(path/'binary.tif', (cut(seg) == n).astype(np.uint8))


def timed(function, *args):
    "Call a function; return the seconds it took, and what it gives."
    begun = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - begun, result


def with_loky(task, parts, n_workers, *how):
    "Share work as joblib does."
    from joblib import Parallel, delayed
    jobs = (delayed(workers.collect_results)(task, part) for part in parts)
    return enumerate(Parallel(n_jobs=n_workers, return_as='generator_unordered')(jobs))


def with_dask(task, parts, n_workers, *how):
    "Share work with a Dask cluster of this computer."
    from distributed import Client, LocalCluster
    local = dict(threads_per_worker=1, dashboard_address=None, silence_logs=50)
    with LocalCluster(n_workers=n_workers, **local) as cluster, Client(cluster) as client:
        yield from workers.work_in_cluster(task, parts, client)


def compare_starts(movie, folder, n_rounds):
    "Extract with two processes, started in each way, and with one."
    ways = {start: partial(workers.share_work, start=start) for start in get_all_start_methods()}
    ways = {start: lambda task, parts, n, *how, f=f: f(task, parts, n) for start, f in ways.items()}
    took = {name: [] for name in ('one process', *ways, 'loky', 'dask')}
    for n in range(n_rounds):
        for name, way in {'one process': None, **ways, 'loky': with_loky, 'dask': with_dask}.items():
            single_pass.share_work = way
            how = dict(n_workers=1 if way is None else 2)
            took[name].append(timed(lambda: extract_movie(movie, folder/name/str(n), **how))[0])
    for name, (first, *later) in took.items():
        print(f'{name:12}  first movie {first:6.2f} s   later {np.median(later):6.2f} s')


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--frames', type=int, default=40, help='frames of the movie')
    ap.add_argument('--rounds', type=int, default=3, help='rounds; the medians are printed')
    ap.add_argument('--large', action='store_true', help='frames of 243 × 512 × 512 voxels (try --frames 12)')
    ap.add_argument('--starts', action='store_true', help='compare the ways to start processes')
    args = ap.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        sim = Large(args.frames) if args.large else simulate_movie('realistic', seed=0, n_frames=args.frames)
        movie = open_movie(write_compressed(sim, folder))
        extract_movie(open_movie(simulate_movie('tiny')), folder/'warm')   # imports and start-up are not counted
        if args.starts: return compare_starts(movie, folder, args.rounds)
        rounds, n_rounds = [], args.rounds
        for n in range(n_rounds):
            took, samples = timed(extract_movie, movie, folder/f'out{n}')
            rounds.append([timed(read_plainly, movie)[0], timed(read_once, movie)[0], took])
        plain_s, read, extract = np.median(rounds, axis=0)
        few = samples.table.iloc[::max(1, len(samples)//20)].to_dict('records')
        scale = len(samples)/len(few)
        slow = timed(naive, movie, few, folder/'naive')[0]*scale
        loose, store = measure_folder(folder/'naive')*scale, measure_folder(folder/'out0')
        feed, n_bytes = timed(lambda: sum(c.raw.nbytes for _, c in samples.iter_crops()))
        image = movie.image(movie.frames[0])
        memory = [resource.getrusage(who).ru_maxrss/1e6 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        print(f'movie             {len(movie.frames)} frames of {image.shape}, '
              f'{len(movie.frames)*2*image.nbytes/1e6:.0f} MB, {len(samples)} samples')
        print(f'reading: tifffile {plain_s:8.2f} s')
        print(f'reading: ours     {read:8.2f} s')
        print(f'extract_movie     {extract:8.2f} s   {extract/plain_s:6.2f} × tifffile, {extract/read:.2f} × ours')
        print(f'naive extraction  {slow:8.2f} s   {slow/plain_s:6.0f} × tifffile')
        print(f'store             {store/1e6:8.1f} MB')
        print(f'sample folders    {loose/1e6:8.1f} MB  {loose/store:6.1f} × the store')
        print(f'reading all crops {feed:8.2f} s   {n_bytes/feed/1e9:6.2f} GB/s, {len(samples)/feed:.0f} nuclei/s')
        print(f'memory            {memory[0]:8.2f} GB at most, {memory[1]:.2f} GB in each process it starts')
    finally: shutil.rmtree(folder)


if __name__ == '__main__': main()
