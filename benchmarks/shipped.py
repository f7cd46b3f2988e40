"""What do the networks that come along find in movies they have not seen? `python benchmarks/shipped.py` (some ten
minutes on two cores) predicts simulated movies of every preset with no training, and scores every nucleus: `shipped.csv`
a row a preset and network, `shipped.md` the table of the front page."""
import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

HERE = Path(__file__).parent
NETWORKS = {'pretrained': 'nucleusnet', 'pretrained:randomised_4ncnn': '4ncnn'}
FIRST_SEED = 7100   # of no movie that anything was trained, chosen or shown on


def predict(run, preset, n_movies):
    "Predict some movies; a row a nucleus whose neighbours in time are there, with its truth."
    from films import find_states
    from nucleus_cls import open_movie, predict_movie, simulate
    with tempfile.TemporaryDirectory() as folder:
        for path in simulate(folder, n_movies, 40, FIRST_SEED, preset):
            movie = open_movie(path)
            truth = find_states(movie)[['frame', 'nucleus_id', 'truth', 'lost', 'true_parent']]
            table = predict_movie(run, movie).table.merge(truth, on=['frame', 'nucleus_id'])
            inner = ~table['quality'].fillna('').str.contains('no_t')
            yield table[inner & ~table['lost']].assign(parent=table['true_parent'])


def score(table):
    "Score every nucleus, and the divisions also with a frame's tolerance."
    from nucleus_cls.evaluation.events import score_events
    table = table.reset_index(drop=True)
    true = table['truth'].replace('unknown', 'stable')
    f1 = {s: f1_score(true == s, table['state'] == s) for s in sorted(set(true))}
    events = score_events(table, np.arange(len(table)), true.to_numpy(object), table['state'].to_numpy(object))
    return dict(nuclei=len(table), divisions=int((true == 'mitotic').sum()), deaths=int((true == 'death').sum()),
                macro_f1=np.mean(list(f1.values())), **{f'f1 {s}': v for s, v in f1.items()},
                divisions_1_frame=events['per_state']['mitotic']['f1'])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--presets', default='easy,realistic,hard', help='kinds of movies')
    ap.add_argument('--movies', type=int, default=4, help='movies of each')
    args = ap.parse_args()
    from nucleus_cls import open_run
    rows = []
    for preset in args.presets.split(','):
        for name, words in NETWORKS.items():
            table = pd.concat(list(predict(open_run(name), preset, args.movies)), ignore_index=True)
            rows.append(dict(preset=preset, network=words) | score(table))
            print(rows[-1], flush=True)
    results = pd.DataFrame(rows).round(3)
    results.to_csv(HERE/'shipped.csv', index=False)
    shown = results[['preset', 'network', 'nuclei', 'macro_f1', 'f1 mitotic', 'divisions_1_frame', 'f1 new_daughter',
                     'f1 death']]
    lines = ['| movies | network | nuclei | macro-F1 | divisions | ±1 frame | daughters | deaths |', '|---|---|---|---|---|---|---|---|']
    lines += ['| ' + ' | '.join([r[0], r[1], f'{r[2]:,}', *(f'{v:.2f}' for v in r[3:])]) + ' |'
              for r in shown.itertuples(index=False)]
    (HERE/'shipped.md').write_text('\n'.join(lines) + '\n', encoding='utf-8')


if __name__ == '__main__': main()
