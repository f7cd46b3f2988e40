"""Drive the plugin in a real napari, without a screen: `make napari-check`. Opens the sample, classifies it, corrects two
nuclei, reads the results again; `--shots FOLDER` keeps a picture of each step."""
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault('QT_QPA_PLATFORM', 'offscreen')


def wait(viewer, done, seconds=120):
    "Let Qt work until something is done."
    from qtpy.QtWidgets import QApplication
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(.02)
    assert done(), 'napari was not done in time'


def shoot(viewer, folder, name):
    "Keep a picture of the whole window."
    if folder is None: return
    from qtpy.QtWidgets import QApplication
    for _ in range(20): QApplication.processEvents()
    viewer.window.screenshot(str(Path(folder)/f'{name}.png'), canvas_only=False, flash=False)


def press(box, text):
    "Press a button."
    next(w for w in box if getattr(w, 'text', '') == text).native.click()


def classify(viewer, folder):
    "Press the one button."
    dock, box = viewer.window.add_plugin_dock_widget('nucleus_cls', 'Classify nuclei')
    next(w for w in box if w.label == 'write to').value = folder/'states'
    press(box, 'Classify')
    wait(viewer, lambda: 'states' in viewer.layers)
    assert {'states', 'tracks', 'events'} <= {layer.name for layer in viewer.layers}
    assert (folder/'states'/'predictions.csv').is_file() and (folder/'states'/'movie.mp4').is_file()
    return dock


def review(viewer, folder):
    "Correct two nuclei."
    _, box = viewer.window.add_plugin_dock_widget('nucleus_cls', 'Review nuclei')
    next(w for w in box if w.label == 'write to').value = folder/'corrections.csv'
    press(box, 'Next doubtful')
    first = viewer.layers['states'].selected_label
    press(box, 'death')
    assert viewer.layers['states'].selected_label != first
    press(box, 'stable')
    rows = (folder/'corrections.csv').read_text().splitlines()
    assert len(rows) == 3 and ',death,' in rows[1], rows
    color = viewer.layers['states'].colormap.color_dict[first]
    assert tuple(round(255*c) for c in color[:3]) == (0xAA, 0x33, 0xCC), color


def main(shots=None):
    "All of it."
    import napari
    viewer = napari.Viewer(show=False)
    viewer.window.resize(1280, 820)
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        viewer.open_sample('nucleus_cls', 'embryo')
        assert [layer.name for layer in viewer.layers] == ['simulated embryo', 'nuclei']
        viewer.dims.set_current_step(0, 4)
        shoot(viewer, shots, 'napari_sample')
        dock = classify(viewer, folder)
        events = viewer.layers['events'].features
        viewer.dims.set_current_step(0, int(events['frame'].iloc[0]))
        viewer.dims.ndisplay = 3
        viewer.layers['simulated embryo'].rendering = 'mip'
        shoot(viewer, shots, 'napari_classified')
        viewer.window.remove_dock_widget(dock)
        viewer.dims.ndisplay = 2
        review(viewer, folder)
        shoot(viewer, shots, 'napari_review')
        viewer.layers.clear()
        viewer.open(folder/'states'/'predictions.csv', plugin='nucleus_cls')
        assert [layer.name for layer in viewer.layers] == ['events']
    viewer.close()
    print('napari: sample, classification, review and reader work')


if __name__ == '__main__': main(*sys.argv[1:2])
