"""What comes out of films of any kind? `python benchmarks/films.py` (half an hour on two cores, nothing trained).

Real films are predicted by the command that is printed; where they lie is said by NUCLEUS_DATA, and without them they are
left out. Simulated movies are resampled to other voxels, or their nuclei or their whole field move, and what is found
is set beside what is found in the same movie as it was. Each row says what is to come out, and what does. `--only` runs
some of the parts (real, voxels, motion, view). The table goes to `films.csv`.
"""
import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from scipy import ndimage
from sklearn.metrics import f1_score

HERE, BIN = Path(__file__).parent, Path(sys.executable).parent
STATES = ['mitotic', 'new_daughter', 'stable', 'death']
VOXELS = ((.5, .5, .5), (2, 2, 2), (3, 3, 3), (1/2, 1, 1), (1/3, 1, 1), (1/4, 1, 1), (1/6, 1, 1))   # new for each old
WALKS, JUMP = (.5, 1.), 1.5                                          # widths of a nucleus a frame
PLENTY = dict(sure_divisions=8, sure_deaths=4)                       # enough events to count


# --- real films ---------------------------------------------------------------------------------

def predict_real(data, folder, *words):
    "Predict a film by the command line: the command, its table of nuclei, its divisions."
    run = [BIN/'nucleus_predict', 'pretrained', '--movie', *words, '--output_dir', folder]
    subprocess.run([str(w) for w in run], check=True, capture_output=True)
    shown = ' '.join(shlex.quote(str(w)).replace(str(data), '$NUCLEUS_DATA') for w in words)
    tables = (pd.read_csv(Path(folder)/f'{name}.csv') for name in ('predictions', 'divisions'))
    return f'nucleus_predict pretrained --movie {shown}', *tables


def score_organoid(divisions):
    "Count the organoid's divisions: found, and false."
    true = {(302, 18), (303, 1), (303, 18), (304, 21), (304, 22)}
    called = set(zip(divisions['frame'], divisions['mother']))
    return len(true & called), len(called - true)


def project(source, folder):
    "Project a film along z: the brightest voxel of a nucleus, and whose it is."
    for t in range(301, 306):
        image = tifffile.imread(source/f'Channel1-Denoised/002-Ch1-T{t:04}.tif')
        seg = tifffile.imread(source/f'nuclei_segmentation/002-Ch1-T{t:04}.tif')
        top = np.where(seg > 0, image, 0).argmax(0)[None]
        for name, flat in (('image', image.max(0)), ('seg', np.take_along_axis(seg, top, 0)[0])):
            tifffile.imwrite(folder/f'{name}_{t}.tif', flat)


def score_hacat(divisions, truth):
    "Count divisions: one is found where its mother or a daughter takes part in one that is called at its time."
    hit, used = 0, set()
    for true in truth.itertuples():
        near = divisions[divisions['frame'].between(true.t - 1, max(true.t_d1, true.t_d2))]
        own = [i for i, d in near.iterrows() if d['mother'] == true.mother
               or {d['daughter_1'], d['daughter_2']} & {true.daughter1, true.daughter2}]
        hit += bool(set(own) - used)
        used |= set(own[:1])
    return hit, len(divisions) - hit


def try_real(data):
    "Predict the real films; a row each."
    with tempfile.TemporaryDirectory() as folder:
        folder, source = Path(folder), data/'organoid_budding_original'
        how = ('--images', 'Channel1-Denoised/002-Ch1-T{t}.tif', '--segs', 'nuclei_segmentation/002-Ch1-T{t}.tif')
        command, _, divisions = predict_real(data, folder/'a', source, *how, '--voxel_size', '2.0,0.26,0.26')
        found, false = score_organoid(divisions)
        yield dict(film='organoid, 2.0×0.26×0.26 µm', command=command, comes_out=f'{found} of 5 divisions, {false} false',
                   aim='5 of 5, at most 1 false', met=found == 5 and false < 2)
        flat = folder/'projected'
        flat.mkdir()
        project(source, flat)
        command, _, divisions = predict_real(folder, folder/'b', flat, '--images', 'image_{t}.tif', '--segs', 'seg_{t}.tif',
                                             '--voxel_size', '1,0.26,0.26')
        found, false = score_organoid(divisions)
        yield dict(film='organoid, projected to one slice', command=command.replace('$NUCLEUS_DATA/', ''),
                   comes_out=f'{found} of 5 divisions, {false} false', aim='5 of 5, at most 1 false',
                   met=found == 5 and false < 2)
        command, table, _ = predict_real(data, folder/'c', data/'mouse_embryo_8cell_movie.npz', '--voxel_size', '2.0,0.83,0.83')
        stable = int((table['state'] == 'stable').sum())
        yield dict(film='mouse embryo of 8 cells', command=command, comes_out=f'{stable} of {len(table)} stable',
                   aim='88 of 88 stable', met=stable == len(table) == 88)
        command, _, divisions = predict_real(data, folder/'d', data/'hacat_fucci', '--voxel_size', '1,0.544,0.544')
        found, false = score_hacat(divisions, pd.read_csv(data/'hacat_fucci'/'divisions.csv'))
        yield dict(film='HaCaT cells in 2D, FUCCI sensors that leave the chromatin in mitosis', command=command,
                   comes_out=f'{found} of 6 divisions, {false} false')


# --- simulated films -----------------------------------------------------------------------------

def zoom(movie, factor):
    "Resample a movie: intensities by straight lines, ids by the nearest."
    from nucleus_cls import movie_from_arrays
    how = dict(zoom=factor, mode='nearest', grid_mode=True)
    images = {t: ndimage.zoom(movie.image(t).astype(np.float32), order=1, **how) for t in movie.frames}
    segs = {t: ndimage.zoom(movie.seg(t), order=0, **how) for t in movie.frames}
    images = {t: v.clip(0, 65535).astype(np.uint16) for t, v in images.items()}
    voxel = tuple(np.divide(movie.voxel_size, factor))
    return movie_from_arrays(images, segs, movie.lineage(), movie.name, voxel)


def jump(movie, widths, seed=0):
    "Move the whole field by so many widths, in every third frame."
    from nucleus_cls import movie_from_arrays
    from nucleus_cls.movies.scale import measure_movie
    rng, place, images, segs = np.random.default_rng(seed), np.zeros((len(movie.frames), 3), int), {}, {}
    for k in range(1, len(place)):
        way = rng.normal(size=3)*(.3, 1, 1)
        place[k] = place[k - 1] + np.rint(way/np.linalg.norm(way)*widths*measure_movie(movie)[2]*(k % 3 == 0))
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


def predict(run, movie, truth=None):
    "Predict a movie: what every nucleus with neighbours in time is called, and is (by its lineage, unless given)."
    from nucleus_cls import predict_movie
    if truth is None: truth = find_states(movie)
    table = predict_movie(run, movie).table.drop(columns='lost', errors='ignore')
    table = table.merge(truth[['frame', 'nucleus_id', 'truth', 'lost']], on=['frame', 'nucleus_id'])
    inner = ~table['quality'].fillna('').str.contains('no_t')
    return table[inner & ~table['lost']].replace({'truth': {'unknown': 'stable'}})


def score(table):
    "Macro-F1 of every nucleus, F1 of events together, share of resting nuclei that are called an event, in %."
    true, called = table['truth'], table['state']
    rest = true == 'stable'
    return dict(nuclei=len(table), events=int((~rest).sum()),
                macro_f1=f1_score(true, called, average='macro', labels=sorted(set(true)), zero_division=0),
                events_f1=f1_score(true, called, average='micro', labels=[s for s in STATES if s != 'stable']),
                false_percent=100*(called[rest] != 'stable').mean(),
                coarse=table['quality'].fillna('').str.contains('coarse').any())


def try_voxels(run, presets, n_frames):
    "Predict movies at other scales and with other planes."
    from nucleus_cls import open_movie, simulate_movie
    for preset in presets:
        movie = open_movie(simulate_movie(preset, seed=901, n_frames=n_frames, **PLENTY))
        base = score(predict(run, movie))
        yield dict(film=f'{preset}, as it is') | base
        for factor in VOXELS:
            found = score(predict(run, zoom(movie, factor)))
            name = f'voxels ×{factor[1]:g}' if factor[0] == factor[1] else f'planes {1/factor[0]:.0f} times as far apart'
            loss = base['macro_f1'] - found['macro_f1']
            yield dict(film=f'{preset}, {name}', loss=loss, aim='macro-F1 at most 0.03 less, or marked coarse',
                       met=loss <= .03 or found['coarse']) | found


def draw_foreign(kind, widths):
    "Draw a movie of the other simulator whose nuclei walk so many widths a frame (rms); and its truth."
    import foreign
    from nucleus_cls import movie_from_arrays
    foreign.KINDS[kind]['step'] = 2*widths
    images, segs, voxel, parents = foreign.draw_movie(kind, 31)
    truth = foreign.find_truth(segs, parents)[['frame', 'nucleus_id', 'truth', 'lost']]
    return movie_from_arrays(images, segs, name=f'{kind}_{widths:g}', voxel_size=voxel), truth


def name_tracks(lineage):
    "Give each track one id: pairs (frame, nucleus id) → id of the track; a daughter begins a new one."
    nodes, ids = lineage.nodes, {}
    parent = dict(lineage.edges[:, ::-1].tolist())
    children = pd.Series(lineage.edges[:, 0]).value_counts()
    for row in np.argsort(nodes['frame'].to_numpy(), kind='stable').tolist():
        goes_on = row in parent and children[parent[row]] == 1
        ids[row] = ids[parent[row]] if goes_on else len(ids) + 1
    return {(t, i): ids[row] for row, (t, i) in enumerate(zip(nodes['frame'], nodes['nucleus_id']))}


def shuffle_ids(truth, seed=0):
    "Draw ids anew in each frame: pairs (frame, nucleus id) → new id."
    rng = np.random.default_rng(seed)
    return {(t, i): int(k) + 1 for t, ids in truth.groupby('frame')['nucleus_id']
            for i, k in zip(ids, rng.permutation(len(ids)))}


def rename(movie, truth, new):
    "Give nuclei other ids; those that get none are left out of the segmentation."
    from nucleus_cls import movie_from_arrays
    images, segs = {t: movie.image(t) for t in movie.frames}, {}
    for t in movie.frames:
        seg = movie.seg(t)
        table = np.zeros(int(seg.max()) + 1, np.int32)
        for i in np.unique(seg[seg > 0]).tolist(): table[i] = new.get((t, i), 0)
        segs[t] = table[seg]
    ids = [new.get(key, 0) for key in zip(truth['frame'], truth['nucleus_id'])]
    return movie_from_arrays(images, segs, name=movie.name, voxel_size=movie.voxel_size), truth.assign(nucleus_id=ids)


def find_states(movie):
    "Say the state of every nucleus by the movie's lineage; deaths at the border or a wedge are marked as lost."
    from nucleus_cls import check_movie
    table = check_movie(movie, None).table
    return table[table['track'] >= 0].rename(columns={'state': 'truth', 'parent': 'true_parent'})


def try_motion(run, presets, n_frames):
    "Predict movies whose nuclei walk, with ids drawn anew in each frame and with ids that are kept, or whose field jumps."
    from nucleus_cls import open_movie, simulate_movie
    from nucleus_cls.movies.scale import measure_movie
    for preset in presets:
        still = open_movie(simulate_movie(preset, seed=903, n_frames=n_frames, **PLENTY))
        width, base = measure_movie(still)[2], score(predict(run, still))
        yield dict(film=f'{preset}, as it is') | base
        for widths in WALKS:
            motion = min(widths*width/np.sqrt(3), 10.)          # standard deviation along each axis
            movie = open_movie(simulate_movie(preset, seed=903, n_frames=n_frames, motion=motion, **PLENTY))
            yield compare(f'{preset}, nuclei walk {widths:g} widths', base, score(predict(run, movie)))
            tracked = rename(movie, find_states(movie), name_tracks(movie.lineage()))
            yield compare(f'{preset}, nuclei walk {widths:g} widths, ids kept', base, score(predict(run, *tracked)))
        found = score(predict(run, jump(still, JUMP)))
        yield compare(f'{preset}, field jumps {JUMP:g} widths', base, found)
    for kind in 'embryo', 'tissue':
        name, base = f'other simulator, {kind}', score(predict(run, *draw_foreign(kind, .05)))
        yield dict(film=f'{name}, as it is') | base
        for widths in *WALKS, 1.5:
            tracked, truth = draw_foreign(kind, widths)
            anew = rename(tracked, truth, shuffle_ids(truth))
            for words, film in ('', anew), (', ids kept', (tracked, truth)):
                yield compare(f'{name}, nuclei walk {widths:g} widths{words}', base, score(predict(run, *film)), aim=widths <= 1)


def look_through(movie, kind, seed=0):
    "See half of a movie's height and width through a window that drifts, or jumps every sixth frame."
    from nucleus_cls import movie_from_arrays
    from nucleus_cls.movies.scale import measure_movie
    rng, width, frames = np.random.default_rng(seed), measure_movie(movie)[2], movie.frames
    half = np.array(movie.image(frames[0]).shape[1:])//2
    place = np.tile(half/2, (len(frames), 1))
    for k in range(1, len(frames)):
        step = np.array([.18, .12])*(1 if k < len(frames)/2 else -1) if kind == 'drifts' else (
            rng.choice([-1, 1], 2)*(1.1, .8)*(k % 6 == 0))
        place[k] = np.clip(place[k - 1] + step*width, 0, half)
    def cut(read, k, t):
        y, x = place[k].round().astype(int)
        return read(t)[:, y:y + half[0], x:x + half[1]]
    images, segs = ({t: cut(read, k, t) for k, t in enumerate(frames)} for read in (movie.image, movie.seg))
    return movie_from_arrays(images, segs, name=movie.name, voxel_size=movie.voxel_size)


def try_view(run, presets, n_frames):
    "Predict what is seen through windows that move: events of nuclei away from the border, and all that are false."
    from nucleus_cls import open_movie, predict_movie, simulate_movie
    for preset in presets:
        for kind in 'drifts', 'jumps':
            parts = []
            for seed in 911, 912, 913:
                movie = open_movie(simulate_movie(preset, seed=seed, n_frames=n_frames, **PLENTY))
                table = predict_movie(run, look_through(movie, kind, seed)).table.drop(columns='lost', errors='ignore')
                parts.append(table.merge(find_states(movie)[['frame', 'nucleus_id', 'truth']], 'left', on=['frame', 'nucleus_id']))
            table = pd.concat(parts, ignore_index=True)
            inside, said = ~table['quality'].str.contains('border|no_t'), []
            for state, name in ('mitotic', 'divisions'), ('death', 'deaths'):
                true, called = table['truth'] == state, table['state'] == state
                false, marked = called & ~true, table['quality'].str.contains('doubtful')
                said.append(f'{(true & called & inside).sum()} of {(true & inside).sum()} {name}, {false.sum()} false'
                            + f' ({(false & marked).sum()} of them doubtful)'*bool(false.sum()))
            rest = table['truth'].isin(['stable', 'unknown'])
            yield dict(film=f'{preset}, field {kind}', comes_out='; '.join(said), nuclei=len(table), events=int((~rest).sum()),
                       false_percent=100*table['state'][rest].isin(['mitotic', 'death']).mean())


def compare(film, base, found, aim=True):
    "Set what is found beside what was found in the same movie without motion."
    loss = base['events_f1'] - found['events_f1']
    judged = dict(aim="events' F1 at most 0.05 less", met=loss <= .05) if aim else {}
    return dict(film=film, loss=loss) | judged | found


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--only', default='real,voxels,motion,view', help='parts to run')
    ap.add_argument('--run', default='pretrained', help='run folder, or pretrained')
    ap.add_argument('--presets', default='easy,realistic,hard', help='presets of the simulated movies')
    ap.add_argument('--n_frames', type=int, default=30, help='frames a simulated movie')
    args = ap.parse_args()
    os.environ.setdefault('TQDM_DISABLE', '1')
    warnings.filterwarnings('ignore', 'movie .* nuclei are only')
    from nucleus_cls import open_run
    data, simulated = Path(os.environ.get('NUCLEUS_DATA', '../shared/data')).resolve(), (args.presets.split(','), args.n_frames)
    parts = {'real': lambda: try_real(data) if data.is_dir() else [], 'voxels': lambda: try_voxels(open_run(args.run), *simulated),
             'motion': lambda: try_motion(open_run(args.run), *simulated), 'view': lambda: try_view(open_run(args.run), *simulated)}
    path, tables = HERE/'films.csv', []
    old = pd.read_csv(path) if path.exists() else pd.DataFrame({'part': []})
    for part, rows in parts.items():
        if part not in args.only.split(','):
            tables.append(old[old['part'] == part])
            continue
        found = []
        for row in rows():
            found.append(dict(part=part) | row)
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in found[-1].items()}, flush=True)
        tables.append(pd.DataFrame(found))
    pd.concat(tables, ignore_index=True).round(3).to_csv(path, index=False, lineterminator='\n')


if __name__ == '__main__': main()
