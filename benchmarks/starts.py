"""Compare the ways to start processes: `python benchmarks/starts.py` (some minutes; `--rounds` for more).

A simulated movie is extracted by one process, and by two started in each way that Python, joblib and Dask offer: the
first movie, and the median of those after it. The chapter on workers says what was chosen.
"""
import argparse
import tempfile
from functools import partial
from multiprocessing import get_all_start_methods
from pathlib import Path

import numpy as np

from speed import timed, write_tiffs
from nucleus_cls import workers
from nucleus_cls.simulation.movies import simulate_movie
from nucleus_cls.movies.open import open_movie
from nucleus_cls.samples import single_pass
from nucleus_cls.samples.extract import extract_movie


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


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--rounds', type=int, default=3, help='movies to extract in each way')
    rounds = ap.parse_args().rounds
    ways = {start: partial(workers.share_work, start=start) for start in get_all_start_methods()}
    ways = {start: lambda task, parts, n, *how, f=f: f(task, parts, n) for start, f in ways.items()}
    ways = {'one process': None, **ways, 'loky': with_loky, 'dask': with_dask}
    took = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        extract_movie(open_movie(simulate_movie('tiny')), Path(folder)/'warm', n_workers=1)   # imports are not counted
        movie = write_tiffs(simulate_movie('realistic', seed=0, n_frames=40), folder)
        for n in range(rounds):
            for name, single_pass.share_work in ways.items():
                out, how = Path(folder)/name/str(n), dict(n_workers=2 if ways[name] else 1)
                took[name].append(timed(lambda: extract_movie(movie, out, **how)))
    for name, (first, *later) in took.items():
        print(f'{name:12}  first movie {first:6.2f} s   later {np.median(later):6.2f} s')


if __name__ == '__main__': main()
