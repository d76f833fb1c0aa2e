#!/usr/bin/python3
"""cluster(), elbow() and silhouettes beside scikit-learn on the same points: quality, then
speed.

    bench/clusters.py              everything
    bench/clusters.py --quick      without the largest sets
    bench/clusters.py --only speed (or inertia, labels, silhouettes)

Needs a running server with the extension, reached by psql's own settings (PGHOST,
PGDATABASE, ...), and python3-sklearn.  Works in a schema bench_clusters of its own, which is
dropped at the end, as are its clusterings.  SQL times are those of whole statements as psql
sees them: reading the table, clustering, the silhouette of 20,000 points, storing every
label.  scikit-learn's are those of fit() on an array that is in memory already, with as many
threads as it likes; each is the best of --repeat runs, the two taking turns.

Exit status 1: an inertia is more than 1 % above scikit-learn's, a median ARI below 0.99 (to
scikit-learn's labels only where those are right themselves), or a silhouette differs by more
than 1e-6.
"""
import argparse
import io
import re
import statistics
import subprocess
import sys
import time
import warnings

try:
    import numpy as np
    import sklearn
    from sklearn.cluster import KMeans, SpectralClustering
    from sklearn.datasets import make_blobs, make_circles, make_moons
    from sklearn.metrics import adjusted_rand_score, silhouette_samples
    from sklearn.preprocessing import StandardScaler
except ImportError as missing:
    print(f"skipped: {missing} (Debian: apt install python3-sklearn)")
    sys.exit(0)

warnings.filterwarnings("ignore")
SCHEMA = "bench_clusters"
NAME = "bench_clusters"
failures = []


def psql(sql, stdin=None, timing=False):
    """Output of statements, one line a row; with timing the seconds of the last one too."""
    script = ("\\timing on\n" if timing else "") + sql
    command = ["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"]
    if stdin is None:
        run = subprocess.run(command, input=script, capture_output=True, text=True)
    else:
        run = subprocess.run(command + ["-c", sql], input=stdin, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    if not timing:
        return run.stdout
    times = re.findall(r"^Time: ([0-9.]+) ms.*\n", run.stdout, flags=re.M)
    return re.sub(r"^Time: .*\n", "", run.stdout, flags=re.M), float(times[-1]) / 1000


def load(table, x):
    """The points as a table id, c0, c1, ..."""
    columns = [f"c{j}" for j in range(x.shape[1])]
    psql(f"DROP TABLE IF EXISTS {SCHEMA}.{table}; CREATE TABLE {SCHEMA}.{table} (id int, "
         + ", ".join(f"{c} float8" for c in columns) + ")")
    text = io.StringIO()
    for i, row in enumerate(x.tolist()):
        text.write("\t".join([str(i)] + [repr(v) for v in row]) + "\n")
    psql(f"COPY {SCHEMA}.{table} FROM STDIN", stdin=text.getvalue())
    psql(f"VACUUM ANALYZE {SCHEMA}.{table}")
    return "{" + ",".join(columns) + "}"


def call(table, columns, k, method="kmeans", options="{}"):
    return (f"SELECT inertia, silhouette FROM sessionlen.cluster('{NAME}', '{SCHEMA}.{table}', "
            f"'id', '{columns}', {k}, '{method}', '{options}')")


def cluster(table, columns, k, method="kmeans", options="{}"):
    """Labels by id, the inertia, the seconds."""
    row, seconds = psql(call(table, columns, k, method, options), timing=True)
    labels = psql(f"SELECT cluster FROM sessionlen.cluster_labels WHERE name = '{NAME}' "
                  "ORDER BY key::int")
    return np.array(labels.split(), dtype=int), float(row.split("\t")[0]), seconds


def check(right, what):
    if not right:
        failures.append(what)
    return "" if right else "  FAILED"


# ---- quality -----------------------------------------------------------------------


def inertia():
    print("inertia ÷ scikit-learn's, n_init 10")
    sets = {
        "blobs 20,000 × 8, 10 of them": make_blobs(20000, 8, centers=10, cluster_std=3,
                                                   random_state=1)[0],
        "uniform 5,000 × 4": np.random.default_rng(2).random((5000, 4)),
        "skewed 2,000 × 2": np.exp(np.random.default_rng(3).normal(size=(2000, 2)) * 1.5),
    }
    for name, x in sets.items():
        columns = load("points", x)
        ratios = []
        for seed in range(5):
            theirs = KMeans(10, n_init=10, random_state=seed).fit(x).inertia_
            ours = cluster("points", columns, 10, options=f'{{"seed": {seed}}}')[1]
            ratios.append(ours / theirs)
        print(f"  {name}, k 10, five seeds: {min(ratios):.4f} to {max(ratios):.4f}"
              + check(max(ratios) <= 1.01, f"inertia of {name}"))
    x = sets["skewed 2,000 × 2"]
    rows = psql(f"SELECT k, inertia FROM sessionlen.elbow('{SCHEMA}.points', '{columns}', 1, 29)")
    worst = 0
    for line in rows.splitlines():
        k, ours = line.split("\t")
        theirs = KMeans(int(k), n_init=10, random_state=0).fit(x).inertia_
        worst = max(worst, float(ours) / theirs)
    print(f"  elbow k = 1 … 29 of the skewed set: at most {worst:.4f}"
          + check(worst <= 1.01, "inertia along the elbow"))


def labels():
    print("median ARI over five seeds: to the truth, to scikit-learn's labels (its own to the truth)")
    sets = {
        "moons 1,500, noise 0.05": (lambda s: make_moons(1500, noise=0.05, random_state=s), 2,
                                    "spectral"),
        "circles 1,500, noise 0.05": (lambda s: make_circles(1500, factor=0.5, noise=0.05,
                                                             random_state=s), 2, "spectral"),
        "blobs 1,500, deviation 0.8": (lambda s: make_blobs(
            1500, centers=[[0, 0], [5, 0], [0, 5], [5, 5]], cluster_std=0.8,
            random_state=s), 4, "spectral"),
        "blobs 1,500, deviation 0.5": (lambda s: make_blobs(
            1500, centers=[[0, 0], [5, 0], [0, 5], [5, 5], [10, 10]], cluster_std=0.5,
            random_state=s), 5, "spectral"),
        "the same blobs, k-means": (lambda s: make_blobs(
            1500, centers=[[0, 0], [5, 0], [0, 5], [5, 5], [10, 10]], cluster_std=0.5,
            random_state=s), 5, "kmeans"),
        "moons 400, noise 0.05": (lambda s: make_moons(400, noise=0.05, random_state=s), 2,
                                  "spectral"),
    }
    for name, (make, k, method) in sets.items():
        truth, same, theirs = [], [], []
        for seed in range(5):
            x, y = make(seed)
            columns = load("points", x)
            ours = cluster("points", columns, k, method, f'{{"seed": {seed}}}')[0]
            other = (SpectralClustering(k, affinity="nearest_neighbors", n_neighbors=10,
                                        random_state=seed) if method == "spectral"
                     else KMeans(k, n_init=10, random_state=seed)).fit_predict(x)
            truth.append(adjusted_rand_score(y, ours))
            same.append(adjusted_rand_score(other, ours))
            theirs.append(adjusted_rand_score(y, other))
        a, b = statistics.median(truth), statistics.median(same)
        print(f"  {name}: {a:.4f}, {b:.4f} ({statistics.median(theirs):.4f})"
              + check(a >= 0.99 and (b >= 0.99 or statistics.median(theirs) < 0.99),
                      f"ARI on {name}"))


def silhouettes():
    x = make_blobs(3000, 5, centers=6, cluster_std=3, random_state=4)[0] * [1, 10, 100, 1, 1]
    columns = load("points", x)
    found = cluster("points", columns, 6, options='{"standardize": true}')[0]
    ours = np.array(psql(f"SELECT silhouette FROM sessionlen.silhouette('{NAME}') "
                         "ORDER BY key::int").split(), dtype=float)
    theirs = silhouette_samples(StandardScaler().fit_transform(x), found)
    worst = np.abs(ours - theirs).max()
    print(f"silhouettes of 3,000 standardised points: largest difference {worst:.1e}"
          + check(worst <= 1e-6, "silhouettes"))


# ---- speed -------------------------------------------------------------------------


def race(what, ours, theirs, repeat):
    """Both in turn, the best of each."""
    a, b = [], []
    for _ in range(repeat):
        a.append(ours())
        start = time.perf_counter()
        theirs()
        b.append(time.perf_counter() - start)
    print(f"  {what}: {min(a):.2f} s, scikit-learn {min(b):.2f} s", flush=True)
    for side, times in (("ours", a), ("scikit-learn", b)):
        print(f"RESULT\t{what}\t{side}\t{min(times):.6f}", flush=True)


def statement(sql):
    return lambda: psql(sql, timing=True)[1]


def speed(quick, repeat):
    print(f"seconds, best of {repeat}")
    print(f"VERSION\tscikit-learn\t{sklearn.__version__}")
    n = 100000 if quick else 1000000
    x = make_blobs(n, 8, centers=10, cluster_std=2, random_state=0)[0]
    columns = load("points", x)
    for starts in (1, 10):
        fit = KMeans(10, n_init=starts, random_state=0)
        options = f'{{"n_init": {starts}}}'
        race(f"elbow() k-means {n:,} × 8, k 10, n_init {starts} (reads and fits)",
             statement(f"SELECT * FROM sessionlen.elbow('{SCHEMA}.points', '{columns}', 10, 10, "
                       f"'{options}')"), lambda: fit.fit(x), repeat)
        race(f"cluster() the same (and silhouette, and stores {n:,} labels)",
             statement(call("points", columns, 10, options=options)), lambda: fit.fit(x), repeat)
    x, _ = make_blobs(20000, 8, centers=10, cluster_std=2, random_state=0)
    columns = load("points", x)
    found = cluster("points", columns, 10)[0]
    race("silhouette() of 20,000 × 8",
         statement(f"SELECT count(*) FROM sessionlen.silhouette('{NAME}')"),
         lambda: silhouette_samples(x, found), repeat)
    for n in (3000,) if quick else (3000, 50000):
        for name, x, k in (("moons, noise 0.05", make_moons(n, noise=0.05, random_state=0)[0], 2),
                           ("moons, noise 0.12", make_moons(n, noise=0.12, random_state=0)[0], 2),
                           ("blobs × 8", make_blobs(n, 8, centers=5, random_state=0)[0], 5)):
            columns = load("points", x)
            other = SpectralClustering(k, affinity="nearest_neighbors", n_neighbors=10,
                                       random_state=0, n_jobs=-1)
            ours = statement(call("points", columns, k, "spectral"))
            if n > 10000 and name == "moons, noise 0.05":
                # its graph falls apart, on which the other's solver takes minutes and more
                print(f"  spectral {n:,}, {name}, k {k}: {min(ours() for _ in range(repeat)):.2f} s")
                continue
            race(f"spectral {n:,}, {name}, k {k}", ours, lambda: other.fit(x),
                 1 if n > 10000 else repeat)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=["inertia", "labels", "silhouettes", "speed"])
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    psql(f"SET client_min_messages = warning; DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; "
         f"CREATE SCHEMA {SCHEMA}; CREATE EXTENSION IF NOT EXISTS sessionlen")
    try:
        for part in (inertia, labels, silhouettes):
            if given.only in (None, part.__name__):
                part()
        if given.only in (None, "speed"):
            speed(given.quick, given.repeat)
    finally:
        psql(f"SET client_min_messages = warning; DROP SCHEMA {SCHEMA} CASCADE; "
             f"DELETE FROM sessionlen.clusterings WHERE name = '{NAME}'")
    for what in failures:
        print(f"failed: {what}")
    return 1 if failures else 0


sys.exit(main())
