#!/usr/bin/python3
"""word2vec() beside gensim: tokens a second on one processor, and how many of an item's
nearest neighbours are of its own planted group.

    PGDATABASE=test bench/word2vec.py [--items N] [--sequences N] [--epochs N]

Needs the extension in that database, numpy, and for the second side python3-gensim.
Sessions of 10 to 20 items are drawn from groups of 100 items, popular ones more often, and
one item in ten from anywhere.  Both sides get the same rows and options; gensim has one
worker.  The processor's time is given, which is less disturbed by other work.
"""
import argparse
import json
import os
import subprocess
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

GROUP = 100


def psql(sql, data=None):
    command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]
    return subprocess.run(command, input=data, text=True, check=True, stdout=subprocess.PIPE).stdout.strip()


def corpus(items, sequences, seed):
    """A list of arrays of item numbers; item i is of group i // GROUP."""
    random = np.random.default_rng(seed)
    groups = items // GROUP
    weight = 1 / (np.arange(GROUP) + 5)
    cumulated = np.cumsum(weight / weight.sum())
    lengths = random.integers(10, 21, sequences)
    total = int(lengths.sum())
    group = np.repeat(random.integers(0, groups, sequences), lengths)
    token = group * GROUP + np.searchsorted(cumulated, random.random(total)).clip(max=GROUP - 1)
    stray = random.random(total) < 0.1
    token[stray] = random.integers(0, groups * GROUP, int(stray.sum()))
    return np.split(token, np.cumsum(lengths)[:-1])


def purity(names, vectors, sample=2000, n=10):
    """Share of the n nearest neighbours that are of the item's own group."""
    names = np.array([int(x) for x in names])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen = np.random.default_rng(0).choice(len(names), min(sample, len(names)), replace=False)
    near = unit[chosen] @ unit.T
    near[np.arange(len(chosen)), chosen] = -2
    best = np.argpartition(-near, n, axis=1)[:, :n]
    return float((names[best] // GROUP == names[chosen][:, None] // GROUP).mean())


def ours(method, epochs):
    options = json.dumps({"method": method, "epochs": epochs, "verbose": False, "seed": 1})
    begin = time.perf_counter()
    row = psql(
        "SELECT tokens_per_second, seconds, items, tokens FROM "
        f"sessionlen.word2vec('bench_{method}', 'bench_items', 'item', 's', 'p', '{options}')"
    ).split("|")
    whole = time.perf_counter() - begin
    rows = psql(f"SELECT item, array_to_json(vector) FROM sessionlen.embedding_items WHERE name = 'bench_{method}'")
    names, vectors = zip(*(line.split("|") for line in rows.splitlines()))
    score = purity(names, np.array([json.loads(v) for v in vectors], dtype=np.float32))
    begin = time.perf_counter()
    query = f"SELECT * FROM sessionlen.similar_items('bench_{method}', '{names[0]}')"
    timing = psql(
        f"DO $$ DECLARE t timestamptz; BEGIN PERFORM ({query.replace('*', 'count(*)')}); t := clock_timestamp(); "
        f"FOR i IN 1..10 LOOP PERFORM ({query.replace('*', 'count(*)')}); END LOOP; "
        "PERFORM set_config('bench.ms', (extract(epoch FROM clock_timestamp() - t) * 100)::text, false); END $$; "
        "SELECT round(current_setting('bench.ms')::numeric, 1)"
    )
    print(
        f"{method:9} sessionlen {float(row[0]):9.0f} tokens/s, neighbours {score:.4f}, "
        f"{row[2]} items, {row[3]} tokens, training {float(row[1]):.1f} s, statement {whole:.1f} s, "
        f"similar_items {timing} ms",
        flush=True,
    )
    return float(row[0])


def theirs(method, epochs, sentences):
    from gensim.models import Word2Vec

    model = Word2Vec(sg=int(method == "skip_gram"), vector_size=100, window=10, negative=5, min_count=5, workers=1, seed=1)
    model.build_vocab(sentences)
    begin = time.process_time()
    model.train(sentences, total_examples=len(sentences), epochs=epochs)
    seconds = time.process_time() - begin
    speed = model.corpus_total_words * epochs / seconds
    print(f"{method:9} gensim     {speed:9.0f} tokens/s, neighbours {purity(model.wv.index_to_key, model.wv.vectors):.4f}", flush=True)
    return speed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100000)
    parser.add_argument("--sequences", type=int, default=150000)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    sessions = corpus(args.items, args.sequences, 1)

    psql("DROP TABLE IF EXISTS bench_items; CREATE TABLE bench_items (s int, p int, item text)")
    psql("COPY bench_items FROM STDIN", "".join(f"{s}\t{p}\t{item}\n" for s, session in enumerate(sessions) for p, item in enumerate(session)))
    psql("ANALYZE bench_items")
    sentences = [[str(item) for item in session] for session in sessions]
    for method in ("skip_gram", "cbow"):
        speed = ours(method, args.epochs)
        try:
            print(f"{method:9} ratio {speed / theirs(method, args.epochs, sentences):.2f}")
        except ImportError:
            print("gensim is not installed (apt install python3-gensim)")


main()
