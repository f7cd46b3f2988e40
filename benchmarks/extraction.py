"""Measure extraction: `python benchmarks/extraction.py` (under a minute; `--frames 100` for a longer movie).

A simulated movie is written as zlib-compressed TIFFs. Then three things are timed in
one run, in turn, and compared as ratios, since machines differ and drift:

- reading every file once (what no extraction can avoid),
- `extract_movie` into a sample store,
- a naive extraction, as first written by most people: for every nucleus a scan of the whole segmentation for its
  bounding box, and uncompressed sample folders (timed on a few nuclei and scaled up).
"""
import argparse
import json
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


def write_compressed(sim, folder):
    "Write a simulated movie as zlib-compressed TIFFs."
    movie = Path(folder)/sim.name
    for t in sim.frames:
        for name, vol in (('registered_images/nuclei_reg8', sim.image(t)), ('registered_label_images/label_reg8', sim.seg(t))):
            path = movie/f'{name}_{t}.tif'
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, vol, compression='zlib')
    (movie/'LineageGraph.json').write_text(json.dumps(plain(sim.graph)))
    return movie


def read_once(movie):
    "Read every image and every segmentation."
    for t in movie.frames: movie.image(t), movie.seg(t)


def naive(movie, samples, output, limit):
    "Write the first `limit` samples one by one, with a scan of the volume each; return seconds for all of them."
    start = time.perf_counter()
    for row in samples.table.head(limit).to_dict('records'):
        t, n = row['frame'], row['nucleus_id']
        seg = movie.seg(t)
        where = np.argwhere(seg == n)
        lo = (where.min(0) + where.max(0))//2 - 32
        path = Path(output)/f'{t}_{n}'
        path.mkdir(parents=True)
        cut = lambda v: np.pad(v, 64)[tuple(slice(a + 64, a + 128) for a in lo)]
        for d in (-1, 0, 1): tifffile.imwrite(path/f'raw{d}.tif', cut(movie.image(t + d)))
        tifffile.imwrite(path/'label.tif', cut(seg))
        tifffile.imwrite(path/'binary.tif', (cut(seg) == n).astype(np.uint8))
    return (time.perf_counter() - start)*len(samples)/limit


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--frames', type=int, default=40, help='frames of the movie')
    ap.add_argument('--repeats', type=int, default=3, help='rounds; the medians are printed')
    args = ap.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        sim = simulate_movie('realistic', seed=0, n_frames=args.frames)
        movie = open_movie(write_compressed(sim, folder))
        mb = 2*len(movie.frames)*movie.image(movie.frames[0]).nbytes/1e6
        extract_movie(open_movie(sim), folder/'warm')                      # imports and start-up are not counted
        reads, extractions = [], []
        for n in range(args.repeats):
            start = time.perf_counter(); read_once(movie); reads.append(time.perf_counter() - start)
            start = time.perf_counter(); samples = extract_movie(movie, folder/f'out{n}'); extractions.append(time.perf_counter() - start)
        read, extract = np.median(reads), np.median(extractions)
        slow = naive(movie, samples, folder/'naive', min(20, len(samples)))
        loose = folder_bytes(folder/'naive')*len(samples)/min(20, len(samples))
        store = folder_bytes(folder/'out0')
        start = time.perf_counter(); n = sum(c.raw.nbytes for _, c in samples.iter_crops()); feed = time.perf_counter() - start
        print(f'movie                 {len(movie.frames)} frames of {movie.image(movie.frames[0]).shape}, {mb:.0f} MB uncompressed, {len(samples)} samples')
        print(f'reading once          {read:8.2f} s')
        print(f'extract_movie         {extract:8.2f} s   {extract/read:6.2f} × reading  ({len(samples)/extract:.0f} nuclei/s)')
        print(f'naive extraction      {slow:8.2f} s   {slow/read:6.0f} × reading')
        print(f'store                 {store/1e6:8.1f} MB')
        print(f'sample folders        {loose/1e6:8.1f} MB  {loose/store:6.0f} × the store')
        print(f'reading all crops     {feed:8.2f} s   {n/feed/1e9:6.2f} GB/s, {len(samples)/feed:.0f} nuclei/s')
    finally: shutil.rmtree(folder)


if __name__ == '__main__': main()
