"""Measure extraction: `python benchmarks/extraction.py` (under a minute; `--frames 100` for a longer movie).

A simulated movie is written as zlib-compressed TIFFs. Then three things are timed in turn, several rounds, and
compared as ratios, since machines differ and drift:

- reading every file once (what no extraction can avoid),
- `extract_movie` into a sample store,
- a naive extraction, as first written by most people: for every nucleus a scan of the whole segmentation for its
  bounding box, and uncompressed sample folders (timed on a few nuclei and scaled up).
"""
import argparse
import json
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

from nucleus_cls.core import plain
from nucleus_cls.extract import extract_movie
from nucleus_cls.movie import open_movie
from nucleus_cls.simulate import simulate_movie
from nucleus_cls.store import folder_bytes

NAMES = {'image': 'registered_images/nuclei_reg8', 'seg': 'registered_label_images/label_reg8'}


def write_compressed(sim, folder):
    "Write a simulated movie as zlib-compressed TIFFs."
    for t in sim.frames:
        for what, name in NAMES.items():
            path = Path(folder)/sim.name/f'{name}_{t}.tif'
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, getattr(sim, what)(t), compression='zlib')
    (Path(folder)/sim.name/'LineageGraph.json').write_text(json.dumps(plain(sim.graph)))
    return Path(folder)/sim.name


def read_once(movie):
    "Read every image and every segmentation."
    for t in movie.frames: movie.image(t), movie.seg(t)


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
    "Call a function; return seconds on the clock, seconds of processor time, and what it gives."
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*args)
    return time.perf_counter() - wall, time.process_time() - cpu, result


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--frames', type=int, default=40, help='frames of the movie')
    ap.add_argument('--rounds', type=int, default=3, help='rounds; the medians are printed')
    args = ap.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        sim = simulate_movie('realistic', seed=0, n_frames=args.frames)
        movie = open_movie(write_compressed(sim, folder))
        extract_movie(open_movie(sim), folder/'warm')                      # imports and start-up are not counted
        rounds = [(timed(read_once, movie), timed(extract_movie, movie, folder/f'out{n}')) for n in range(args.rounds)]
        (read, read_cpu), (extract, extract_cpu) = np.median([[step[:2] for step in steps] for steps in rounds], axis=0)
        samples = rounds[0][1][2]
        few = samples.table.iloc[::max(1, len(samples)//20)].to_dict('records')
        scale = len(samples)/len(few)
        slow = timed(naive, movie, few, folder/'naive')[0]*scale
        loose, store = folder_bytes(folder/'naive')*scale, folder_bytes(folder/'out0')
        feed, _, n_bytes = timed(lambda: sum(c.raw.nbytes for _, c in samples.iter_crops()))
        image = movie.image(movie.frames[0])
        mb = len(movie.frames)*2*image.nbytes/1e6
        print(f'movie             {len(movie.frames)} frames of {image.shape}, {mb:.0f} MB, {len(samples)} samples')
        print(f'reading once      {read:8.2f} s                      ({read_cpu:.2f} s of processor time)')
        print(f'extract_movie     {extract:8.2f} s   {extract/read:6.2f} × reading    ({extract_cpu:.2f} s)')
        print(f'naive extraction  {slow:8.2f} s   {slow/read:6.0f} × reading')
        print(f'store             {store/1e6:8.1f} MB')
        print(f'sample folders    {loose/1e6:8.1f} MB  {loose/store:6.0f} × the store')
        print(f'reading all crops {feed:8.2f} s   {n_bytes/feed/1e9:6.2f} GB/s, {len(samples)/feed:.0f} nuclei/s')
        print(f'memory            {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1e6:8.2f} GB at most')
    finally: shutil.rmtree(folder)


if __name__ == '__main__': main()
