"""Packaging: everything is read from settings.ini, as nbdev 2 does it; the Python versions are ours."""
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

config = ConfigParser(delimiters=['='], interpolation=None)
config.read('settings.ini', encoding='utf-8')
cfg = config['DEFAULT']
NOT_IN_DEV = ('napari', 'trackmate', 's3', 'onnx', 'fast')   # heavy, or not with the pinned versions of all others
extras = {key.removeprefix('extra_'): value.split() for key, value in cfg.items() if key.startswith('extra_')}

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=Path('README.md').read_text(encoding='utf-8') if Path('README.md').exists() else '',
    long_description_content_type='text/markdown',
    author=cfg['author'],
    license='Apache-2.0',
    url=f"https://github.com/{cfg['user']}/{cfg['repo']}",
    keywords=cfg['keywords'].split(),
    packages=find_packages(include=['nucleus_cls', 'nucleus_cls.*']),
    include_package_data=True,
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg['requirements'].split(),
    package_data={'nucleus_cls': ['checkpoints/*/*', 'napari/napari.yaml']},
    extras_require={**extras, 'dev': sum((extras[key] for key in extras if key not in NOT_IN_DEV), cfg['dev_requirements'].split())},
    entry_points={'console_scripts': cfg.get('console_scripts', '').split(),
                  'napari.manifest': ['nucleus_cls = nucleus_cls.napari:napari.yaml'],
                  'nbdev': [f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"]},
    classifiers=['Development Status :: 3 - Alpha', 'Intended Audience :: Science/Research',
                 'Natural Language :: English',
                 'Topic :: Scientific/Engineering :: Bio-Informatics',
                 *[f'Programming Language :: Python :: {v}' for v in ('3.11', '3.12', '3.13')]],
    zip_safe=False,
)
