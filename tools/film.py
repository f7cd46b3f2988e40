"The film of the front page, nbs/images/film.gif: a simulated embryo, its states predicted by the network that comes along."
import tempfile
from pathlib import Path

from notebooks import NBS

if __name__ == '__main__':
    from nucleus_cls import make_video, open_movie, open_run, predict_movie, simulate
    with tempfile.TemporaryDirectory() as folder:
        [path] = simulate(folder, 1, 26, 44, 'realistic', n_start=30, shape=(56, 150, 150), sure_divisions=7)
        movie = open_movie(path)
        found = predict_movie(open_run('pretrained'), movie)
        film = Path(folder)/'film.gif'
        make_video(movie, found, film, 'quick', width=480, height=300, views='z', fps=5, ids=False,
                   frames=movie.frames[1:-1])
        film.replace(NBS/'images'/'film.gif')
    print(f'{found}; {(NBS/"images"/"film.gif").stat().st_size/1e6:.1f} MB')
