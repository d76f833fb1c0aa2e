#!/usr/bin/python3
"""Print scikit-learn's answers that test/sql/metric.sql compares with.

    apt-get install python3-sklearn
    test/data/make_metric_fixtures.py

The rows follow from integer arithmetic, so that SQL makes the same ones.
"""
import math

import numpy as np
import sklearn
from sklearn import metrics

i = np.arange(1000)
k = i * 7919 % 1009
y = (k * k % 997) / 8.0
p = (k * 31 % 1013) / 8.0
outcome = (k * k % 3 == 0).astype(int)
probability = (k * 17 % 101) / 100.0

print("-- scikit-learn", sklearn.__version__)
for name, value in (
    ("mae", metrics.mean_absolute_error(y, p)),
    ("rmse", math.sqrt(metrics.mean_squared_error(y, p))),
    ("median_ae", metrics.median_absolute_error(y, p)),
    ("log_loss", metrics.log_loss(outcome, probability, eps=1e-15)),
    ("accuracy", metrics.accuracy_score(outcome, probability > 0.5)),
    ("auc", metrics.roc_auc_score(outcome, probability)),
):
    print(f"('{name}', {float(value)!r}),")
