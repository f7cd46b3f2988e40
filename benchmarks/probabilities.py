"""What calibration, test-time augmentation and a corrected prevalence bring to a trained run, as Markdown tables.

    python benchmarks/probabilities.py RUN SAMPLES MOVIE,MOVIE [--views 16] [--thin 1]

RUN is calibrated on what it held out; the movies named here should be ones it has not seen at all. With --thin N only
every Nth stable nucleus is predicted, and counted N times.
"""
import argparse
import time
import warnings
from dataclasses import replace

import numpy as np
import torch

from nucleus_cls.samples.samples import open_samples
from nucleus_cls.transforms.tensors import list_segs
from nucleus_cls.models.run import load_run, apply_temperature, apply_view, calibrate, VIEWS
from nucleus_cls.training.metrics import score_predictions, choose_scored
from nucleus_cls.prediction.predictions import try_tensor
from nucleus_cls.evaluation.calibration import adapt_prior, estimate_prior, reweigh
from nucleus_cls.evaluation.evaluate import choose_movies, find_seen_movies


def tensors(run, samples):
    "Make the tensors of all samples, in the order of their table, and say which could be made."
    made = {i: try_tensor(c.raw, c.mask, c.imaged, run.preprocess, list_segs(c))[0]
            for i, c in samples.iter_crops(what='reading')}
    known = np.array([made[i] is not None for i in samples.table.index])
    return torch.from_numpy(np.stack([made[i] for i in samples.table.index if made[i] is not None])), known


def views(run, xs, n):
    "Predict with 1, 2, 4, … n views, each view computed once; probabilities and nuclei per second of each."
    bare, calibration = replace(run, config=run.config | dict(calibration=None)), run.config['calibration']
    total, seconds, found = 0., 0., {}
    for k, view in enumerate(VIEWS[:n], 1):
        start = time.perf_counter()
        total = total + bare.probs(apply_view(xs, view))
        seconds += time.perf_counter() - start
        if k & (k - 1) == 0: found[k] = calibrate(total/k, calibration), len(xs)/seconds
    return found


def line(name, true, probs, states, *more):
    "One row of a table."
    s = score_predictions(true, probs, states)
    ap = [v['average_precision'] for k, v in s['per_state'].items() if v and k != 'stable']
    right = [states.index(t) if t in states else 0 for t in true]
    loss = -np.log(np.maximum(probs[np.arange(len(true)), right], 1e-9)).mean()
    return [name, *more, f'{s["macro_f1"]:.3f}', f'{np.mean(ap):.3f}', f'{s["ece"]:.4f}', f'{loss:.4f}']


def show(title, head, rows):
    "Print a Markdown table."
    print(f'\n{title}\n\n| ' + ' | '.join(head) + ' |\n|' + '---|'*len(head))
    for r in rows: print('| ' + ' | '.join(map(str, r)) + ' |')


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('run')
    p.add_argument('samples')
    p.add_argument('movies')
    p.add_argument('--views', type=int, default=16, help='how many views to average at most')
    p.add_argument('--thin', type=int, default=1, help='predict every Nth stable nucleus only')
    a = p.parse_args()
    run, samples = load_run(a.run), choose_movies(open_samples(a.samples), a.movies)
    if seen := find_seen_movies(run, samples.movies): warnings.warn(f'trained on {", ".join(seen)}: too good', stacklevel=1)
    table = samples.table.reset_index(drop=True)
    rows, true = choose_scored(table, samples.complete)['every_nucleus']
    keep = np.sort(np.r_[np.flatnonzero(true != 'stable'), np.flatnonzero(true == 'stable')[::a.thin]])
    rows, true = rows[keep], true[keep]
    xs, known = tensors(run, samples.select(samples.table.index[rows]))
    true = true[known]
    times = np.where(true == 'stable', a.thin, 1)
    score = ['macro-F1', 'mean AP of events', 'ECE', 'log loss']
    calibration, states = run.config.get('calibration') or {}, list(run.states)
    if not calibration: raise SystemExit(f'{a.run} is not calibrated: complete it with evaluation.train.finish_run')

    found, rows_tta = views(run, xs, a.views), []
    true = np.repeat(true, times)
    for n, (probs, rate) in found.items():
        rows_tta.append(line(n, true, np.repeat(probs, times, 0), states, f'{rate:.0f}'))
    show(f'Views averaged ({len(true)} nuclei)', ['views', 'nuclei/s', *score], rows_tta)

    after = np.repeat(found[1][0], times, 0)
    plain = apply_temperature(after, bias=-np.array(calibration.get('bias', [0.])))
    plain = apply_temperature(plain, 1/calibration['temperature'])
    kept = after.max(1) >= calibration['threshold']
    right = np.array(states, object)[after.argmax(1)] == true
    show('Temperature', ['probabilities', *score], [line('before', true, plain, states),
                                                    line('calibrated', true, after, states)])
    print(f'\nAt the threshold {calibration["threshold"]:.2f} {kept.mean():.1%} of the nuclei are kept, right in '
          f'{right[kept].mean():.1%}; all are right in {right.mean():.1%}.')

    rows_prior, old = [], calibration['prior']
    stable = np.flatnonzero(true == 'stable')
    for name, keep in (('as it is', 1), ('a tenth of the stable', 10), ('a fortieth of the stable', 40)):
        chosen = np.r_[np.flatnonzero(true != 'stable'), stable[::keep]]
        p, t = after[chosen].astype(float), true[chosen]
        occurs = np.array([(t == s).mean() for s in states])
        error = np.abs(estimate_prior(p, old) - occurs).max()
        for what, q in (('none', p), ('half', adapt_prior(p, old)), ('full', adapt_prior(p, old, 1.)),
                        ('full, true prevalence', reweigh(p, old, occurs))):
            rows_prior.append(line(name, t, q, states, what, f'{error:.3f}'))
    show('Prevalence estimated from the probabilities', ['nuclei', 'correction', 'error of the estimate', *score],
         rows_prior)


if __name__ == '__main__': main()
