"""Does a run see the same at another scale, in other planes, and where the field moves? `python benchmarks/scales.py`
(some minutes on two cores) reads simulated movies resampled to other voxels, or moved as a whole, and writes the
macro-F1 of every nucleus beside that of the same movie as it was, to `scales.csv`."""
import argparse
import os
import warnings

import numpy as np
import pandas as pd
from scipy import ndimage
from sklearn.metrics import f1_score

SCALES = ((.5, .5, .5), (2, 2, 2), (3, 3, 3), (1/3, 1, 1), (1/6, 1, 1), (.4, 1.5, 1.5))   # new voxels for each old, z y x
MOTIONS = (('drift', .5), ('drift', 1.), ('jump', 1.5))                                   # widths of a nucleus


def zoom(movie, factor):
    "Resample a movie: intensities by straight lines, ids by the nearest."
    from nucleus_cls.movies.movie import movie_from_arrays
    how = dict(zoom=factor, mode='nearest', grid_mode=True)
    images = {t: ndimage.zoom(movie.image(t).astype(np.float32), order=1, **how) for t in movie.frames}
    segs = {t: ndimage.zoom(movie.seg(t), order=0, **how) for t in movie.frames}
    images = {t: v.clip(0, 65535).astype(np.uint16) for t, v in images.items()}
    voxel = tuple(np.divide(movie.voxel_size, factor))
    return movie_from_arrays(images, segs, movie.lineage(), movie.name, voxel)


def move(movie, kind, widths, seed=0):
    "Move the whole field: by so many widths in every frame, or in every third one."
    from nucleus_cls.movies.movie import movie_from_arrays
    from nucleus_cls.movies.scale import measure_movie
    rng, place, images, segs = np.random.default_rng(seed), np.zeros((len(movie.frames), 3), int), {}, {}
    for k in range(1, len(place)):
        way = rng.normal(size=3)*(.3, 1, 1)
        far = widths*measure_movie(movie)[2]*(kind == 'drift' or k % 3 == 0)
        place[k] = place[k - 1] + np.rint(way/np.linalg.norm(way)*far)
    place -= place.min(0)
    for at, t in zip(place, movie.frames):
        image, seg = movie.image(t), movie.seg(t)
        dark = np.percentile(image[image > 0], 20)
        images[t] = rng.normal(dark, 5, np.add(image.shape, place.max(0))).clip(1).astype(image.dtype)
        segs[t] = np.zeros(images[t].shape, seg.dtype)
        where = tuple(slice(a, a + n) for a, n in zip(at, image.shape))
        images[t][where] = np.where(image > 0, image, images[t][where])
        segs[t][where] = seg
    return movie_from_arrays(images, segs, movie.lineage(), movie.name, movie.voxel_size)


def score(run, movie, truth):
    "Score every nucleus that has its neighbours in time."
    from nucleus_cls.prediction.whole_movie import predict_movie
    table = predict_movie(run, movie).table.merge(truth, on=['frame', 'nucleus_id'])
    table = table[table['frame'].between(min(movie.frames) + 1, max(movie.frames) - 1)]
    true = table['truth'].replace('unknown', 'stable')
    return f1_score(true, table['state'], average='macro', labels=sorted(set(true)), zero_division=0)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--run', default='pretrained', help='run folder, or pretrained')
    ap.add_argument('--n_frames', type=int, default=20, help='frames a movie')
    ap.add_argument('--output', default='benchmarks/scales.csv', help='table to write')
    args = ap.parse_args()
    os.environ.setdefault('TQDM_DISABLE', '1')
    warnings.filterwarnings('ignore', 'movie .* nuclei are only')
    from nucleus_cls import open_movie, open_run, simulate_movie
    from nucleus_cls.lineage.states import assign_states
    run, rows = open_run(args.run), []
    for preset, seed in ('realistic', 901), ('easy', 902):
        movie = open_movie(simulate_movie(preset, seed=seed, n_frames=args.n_frames))
        truth = assign_states(movie.lineage(), frames=movie.frames)[['frame', 'nucleus_id', 'state']]
        truth = truth.rename(columns={'state': 'truth'})
        forms = [('as it is', lambda: movie)]
        forms += [('×'.join(f'{f:.2g}' for f in factor), lambda f=factor: zoom(movie, f)) for factor in SCALES]
        forms += [(f'{kind} {widths:g}', lambda m=(kind, widths): move(movie, *m)) for kind, widths in MOTIONS]
        for name, make in forms:
            rows.append((preset, name, round(score(run, make(), truth), 3)))
            print(*rows[-1], flush=True)
    table = pd.DataFrame(rows, columns=['movie', 'form', 'macro_f1']).pivot(index='form', columns='movie', values='macro_f1')
    table.loc[list(dict.fromkeys(name for _, name, _ in rows))].to_csv(args.output, lineterminator='\n')


if __name__ == '__main__': main()
