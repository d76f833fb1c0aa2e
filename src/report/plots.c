/*
 * plots.c: learning curves and predictions.
 */
#include "report/plots.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Losses that differ by more than this factor are drawn on a log axis. */
#define WIDE 20.0

static void
widen(double value, double *low, double *high)
{
	if (isfinite(value))
	{
		*low = fmin(*low, value);
		*high = fmax(*high, value);
	}
}

/* ---- learning ---- */

bool
sl_has_validation(const SlLearning *learning)
{
	for (int c = 0; c < learning->curves; c++)
		for (int i = 0; i < learning->curve[c].n; i++)
			if (isfinite(learning->curve[c].validation[i]))
				return true;
	return false;
}

bool
sl_has_mae(const SlLearning *learning)
{
	for (int c = 0; c < learning->curves; c++)
		for (int i = 0; i < learning->curve[c].n; i++)
			if (isfinite(learning->curve[c].mae[i]))
				return true;
	return false;
}

static void
fit_values(SlChart *chart, SlUnit unit, double low, double high)
{
	if (!(low <= high))
		low = high = 0;
	if (low > 0 && high > WIDE * low)
		sl_scale_fit(&chart->y, &chart->y_ticks, unit, true, low, high, 5);
	else
		sl_scale_fit(&chart->y, &chart->y_ticks, unit, false, low, high, 5);
}

/* Epochs from 1 to the last; single ones don't have fractions. */
static void
fit_epochs(const SlLearning *learning, SlChart *chart)
{
	double low = INFINITY;
	double high = -INFINITY;

	for (int c = 0; c < learning->curves; c++)
		for (int i = 0; i < learning->curve[c].n; i++)
			widen(learning->curve[c].epoch[i], &low, &high);
	if (!(low < high))
	{
		low = low > high ? 0 : low - 1;
		high = low + 2;
	}
	sl_scale_fit(&chart->x, &chart->x_ticks, SL_PLAIN, false, low, high,
				 high - low < 8 ? (int) (high - low) : 8);
	chart->x.low = low;
	chart->x.high = high;
	while (chart->x_ticks.count > 0 && chart->x_ticks.at[chart->x_ticks.count - 1] > high)
		chart->x_ticks.count--;
	while (chart->x_ticks.count > 0 && chart->x_ticks.at[0] < low)
		memmove(chart->x_ticks.at, chart->x_ticks.at + 1,
				sizeof(double) * (size_t) --chart->x_ticks.count);
}

static void
mark_best(const SlLearning *learning, const SlChart *chart)
{
	char label[64];
	double at = sl_chart_x(chart, learning->best_epoch);
	bool right = at > chart->left + chart->width * 0.6;

	if (learning->best_epoch < chart->x.low || learning->best_epoch > chart->x.high ||
		learning->curves != 1)
		return;
	sl_chart_rule(chart, learning->best_epoch, chart->y.low, learning->best_epoch,
				  chart->y.high);
	snprintf(label, sizeof(label), "best: epoch %d", learning->best_epoch);
	sl_chart_text(chart->out, at + (right ? -6 : 6), chart->top + 13,
				  right ? "end" : "start", "sl-q", label);
}

#define PREFIX "cluster "

static void
cluster_legend(const SlLearning *learning, const SlChart *chart)
{
	enum
	{
		SHOWN = 6
	};
	const char *names[SHOWN];
	int series[SHOWN];
	int count = learning->curves < SHOWN ? learning->curves : SHOWN;

	for (int c = 0; c < count; c++)
	{
		names[c] = learning->curve[c].name ? learning->curve[c].name : "all";
		/* numbers do where there are many */
		if (count > 3 && strncmp(names[c], PREFIX, strlen(PREFIX)) == 0)
			names[c] += strlen(PREFIX);
		series[c] = c;
	}
	sl_chart_legend(chart, count, names, series);
}

static void
draw_losses(const SlLearning *learning, SlChart *chart)
{
	static const char *const names[] = {"training", "validation"};
	bool validated = sl_has_validation(learning);
	double low = INFINITY;
	double high = -INFINITY;
	char label[160];
	char title[64];

	for (int c = 0; c < learning->curves; c++)
		for (int i = 0; i < learning->curve[c].n; i++)
		{
			if (learning->curves == 1 || !validated)
				widen(learning->curve[c].training[i], &low, &high);
			widen(learning->curve[c].validation[i], &low, &high);
		}
	fit_epochs(learning, chart);
	fit_values(chart, SL_PLAIN, low, high);
	snprintf(label, sizeof(label), "loss: %s", learning->loss);
	snprintf(title, sizeof(title), "%s by epoch%s",
			 learning->curves == 1 ? "Loss"
			 : validated		   ? "Validation loss"
								   : "Training loss",
			 learning->curves > 1 && learning->model ? ", a network per cluster" : "");
	sl_chart_axes(chart, title, "epoch", learning->curves == 1 ? label : "loss");
	mark_best(learning, chart);
	for (int c = 0; c < learning->curves; c++)
	{
		const SlCurve *curve = &learning->curve[c];

		if (learning->curves == 1 || !validated)
			sl_chart_line(chart, c, curve->n, curve->epoch, curve->training);
		if (validated)
			sl_chart_line(chart, learning->curves == 1 ? 1 : c, curve->n, curve->epoch,
						  curve->validation);
	}
	if (learning->curves == 1)
		sl_chart_legend(chart, validated ? 2 : 1, names, (int[]){0, 1});
	else
		cluster_legend(learning, chart);
}

static void
draw_mae(const SlLearning *learning, SlChart *chart)
{
	double low = INFINITY;
	double high = -INFINITY;
	char label[160];

	for (int c = 0; c < learning->curves; c++)
		for (int i = 0; i < learning->curve[c].n; i++)
			widen(learning->curve[c].mae[i], &low, &high);
	fit_epochs(learning, chart);
	fit_values(chart, learning->unit, low, high);
	snprintf(label, sizeof(label), "MAE of %s", learning->target);
	sl_chart_axes(chart, "Validation error by epoch", "epoch",
				  learning->curves == 1 ? label : "MAE");
	mark_best(learning, chart);
	for (int c = 0; c < learning->curves; c++)
		sl_chart_line(chart, learning->curves == 1 ? 1 : c, learning->curve[c].n,
					  learning->curve[c].epoch, learning->curve[c].mae);
	if (learning->curves != 1)
		cluster_legend(learning, chart);
}

/* "from 2.1 to 0.4", where there are such values. */
static void
first_and_last(const double *values, int n, char *text, size_t size)
{
	if (isfinite(values[0]) && isfinite(values[n - 1]))
		snprintf(text, size, "from %.4g to %.4g", values[0], values[n - 1]);
	else if (isfinite(values[0]))
		snprintf(text, size, "on from %.4g", values[0]);
	else
		snprintf(text, size, "unrecorded");
}

static void
describe_learning(const SlLearning *learning, char *text, size_t size)
{
	const SlCurve *curve = &learning->curve[0];
	int last = curve->n - 1;
	char training[64];
	char validation[64];
	char mae[64];
	int used;

	if (learning->curves != 1)
	{
		snprintf(text, size, "A line by epoch for each of %d %s.", learning->curves,
				 learning->model ? "networks" : "models");
		return;
	}
	first_and_last(curve->training, curve->n, training, sizeof(training));
	used = snprintf(text, size, "Over %.0f epochs the training loss goes %s",
					curve->epoch[last], training);
	if (used > 0 && (size_t) used < size && sl_has_validation(learning))
	{
		first_and_last(curve->validation, curve->n, validation, sizeof(validation));
		first_and_last(curve->mae, curve->n, mae, sizeof(mae));
		used += sl_has_mae(learning)
					? snprintf(text + used, size - (size_t) used,
							   ", the validation loss %s and the validation MAE %s",
							   validation, mae)
					: snprintf(text + used, size - (size_t) used,
							   " and the validation loss %s", validation);
	}
	if (used > 0 && (size_t) used < size)
		snprintf(text + used, size - (size_t) used, ".");
}

void
sl_plot_learning(SlMarkup *out, const char *id, const SlLearning *learning, int panels)
{
	char title[256];
	char description[512];
	SlChart chart;

	if (!sl_has_mae(learning))
		panels = SL_PANEL_FIRST;
	if (learning->model)
		snprintf(title, sizeof(title), "Learning curve of %s, version %d",
				 learning->model, learning->version);
	else
		snprintf(title, sizeof(title), "Learning curves of %d models", learning->curves);
	describe_learning(learning, description, sizeof(description));
	sl_svg_open(out, id, SL_PANEL_WIDTH * (panels == SL_PANEL_BOTH ? 2 : 1),
				SL_PANEL_HEIGHT, title, description);
	if (panels & SL_PANEL_FIRST)
	{
		sl_chart_place(&chart, out, 0, 0, SL_PANEL_WIDTH, SL_PANEL_HEIGHT);
		draw_losses(learning, &chart);
	}
	if (panels & SL_PANEL_SECOND)
	{
		sl_chart_place(&chart, out, panels == SL_PANEL_BOTH ? SL_PANEL_WIDTH : 0, 0,
					   SL_PANEL_WIDTH, SL_PANEL_HEIGHT);
		draw_mae(learning, &chart);
	}
	sl_svg_close(out);
}

/* ---- predictions ---- */

void
sl_band_label(const SlSummary *s, SlUnit unit, int band, char *label, size_t size)
{
	SlScale scale = {.unit = unit, .logarithmic = true};
	char from[64];
	char to[64];

	if (unit == SL_SECONDS)
	{
		sl_tick_label(&scale, 0, s->band[band].from, from, sizeof(from));
		sl_tick_label(&scale, 0, s->band[band].to, to, sizeof(to));
	}
	else
	{
		snprintf(from, sizeof(from), "%.3g", s->band[band].from);
		snprintf(to, sizeof(to), "%.3g", s->band[band].to);
	}
	if (s->bands == 1)
		snprintf(label, size, "all");
	else if (band == 0)
		snprintf(label, size, "< %s", to);
	else if (band == s->bands - 1)
		snprintf(label, size, "\u2265 %s", from);
	else
	{
		/* "10-30 min": the unit once where it is the same */
		char *space = strchr(from, ' ');

		if (space && strchr(to, ' ') && strcmp(space, strchr(to, ' ')) == 0)
			*space = '\0';
		snprintf(label, size, "%s\u2013%s", from, to);
	}
}

size_t
sl_points_at_edge(const SlPredicted *p)
{
	size_t count = 0;

	for (size_t i = 0; i < p->drawn_rows; i++)
	{
		const SlOutcome *row = &p->row[p->drawn[i]];

		if (isfinite(row->by[SL_BY_MODEL]) && p->summary->logarithmic &&
			(row->actual < p->summary->low || row->by[SL_BY_MODEL] < p->summary->low))
			count++;
	}
	return count;
}

static void
draw_scatter(const SlPredicted *p, SlChart *chart)
{
	const SlSummary *s = p->summary;
	SlUnit unit = p->unit;
	char x_label[160];
	double low;
	double high;

	sl_scale_fit(&chart->x, &chart->x_ticks, unit, s->logarithmic, s->low, s->high, 6);
	chart->y = chart->x;
	chart->y_ticks = chart->x_ticks;
	snprintf(x_label, sizeof(x_label), "actual %s%s", p->target,
			 s->logarithmic ? ", log scale" : "");
	sl_chart_axes(chart, "Actual against predicted", x_label, "predicted");
	for (size_t i = 0; i < p->drawn_rows; i++)
	{
		const SlOutcome *row = &p->row[p->drawn[i]];

		if (isfinite(row->by[SL_BY_MODEL]))
			sl_chart_dot(chart, 0, row->actual, row->by[SL_BY_MODEL]);
	}
	low = chart->x.low;
	high = chart->x.high;
	sl_chart_rule(chart, low, low, high, high);
	sl_put(chart->out, "\n");
}

static void
draw_bands(const SlPredicted *p, SlChart *chart)
{
	const SlSummary *s = p->summary;
	double low = s->logarithmic ? 1 : 0;
	double high = low;
	double wide;
	char label[160];

	for (int b = 0; b < s->bands; b++)
		for (int i = 0; i < SL_LEVELS; i++)
			widen(s->band[b].level[i], &low, &high);
	if (s->logarithmic)
		low = fmax(low, 1e-6);
	sl_scale_fit(&chart->y, &chart->y_ticks, s->logarithmic ? SL_PLAIN : p->unit,
				 s->logarithmic, low, high, 6);
	snprintf(label, sizeof(label), "actual %s", p->target);
	sl_chart_axis_y(chart, "Residuals by length band", label,
					s->logarithmic ? "predicted \u00f7 actual, log scale"
								   : "predicted \u2212 actual");
	wide = chart->width / s->bands;
	for (int b = 0; b < s->bands; b++)
	{
		double center = chart->left + wide * (b + 0.5);

		sl_band_label(s, p->unit, b, label, sizeof(label));
		sl_chart_text(chart->out, center, chart->top + chart->height + 16, "middle", NULL,
					  label);
		if (s->band[b].rows > 0)
			sl_chart_box(chart, 0, center, fmin(wide * 0.5, 44), s->band[b].level);
	}
	/* the x scale is unused: from edge to edge */
	chart->x = (SlScale){.low = 0, .high = 1};
	sl_chart_rule(chart, 0, s->logarithmic ? 1 : 0, 1, s->logarithmic ? 1 : 0);
}

void
sl_plot_predicted(SlMarkup *out, const char *id, const SlPredicted *p, int panels)
{
	char title[256];
	char description[512];
	SlChart chart;

	snprintf(title, sizeof(title), "%s of %s, version %d, %s rows",
			 panels == SL_PANEL_SECOND ? "Residuals" : "Predictions", p->model,
			 p->version, p->part);
	if (panels == SL_PANEL_SECOND)
		snprintf(
			description, sizeof(description),
			"For each band of the actual value a box from the 25 %% to the 75 %% quantile of %s "
			"with the median in it, and whiskers to the 10 %% and 90 %% quantiles.",
			p->summary->logarithmic ? "predicted divided by actual"
									: "predicted minus actual");
	else
		snprintf(
			description, sizeof(description),
			"%zu of %zu rows as points, the actual value to the right, the predicted one up; "
			"on the dashed diagonal both are equal.%s",
			p->drawn_rows, p->summary->rows,
			panels == SL_PANEL_BOTH
				? " Beside it, residuals by band of the actual value as boxes from the 25 % to "
				  "the 75 % quantile with whiskers to 10 % and 90 %."
				: "");
	sl_svg_open(out, id, SL_PANEL_WIDTH * (panels == SL_PANEL_BOTH ? 2 : 1),
				SL_PANEL_HEIGHT, title, description);
	if (panels & SL_PANEL_FIRST)
	{
		sl_chart_place(&chart, out, 0, 0, SL_PANEL_WIDTH, SL_PANEL_HEIGHT);
		draw_scatter(p, &chart);
	}
	if (panels & SL_PANEL_SECOND)
	{
		sl_chart_place(&chart, out, panels == SL_PANEL_BOTH ? SL_PANEL_WIDTH : 0, 0,
					   SL_PANEL_WIDTH, SL_PANEL_HEIGHT);
		draw_bands(p, &chart);
	}
	sl_svg_close(out);
}

/* ---- calibration ---- */

int
sl_calibrate(const SlPredicted *p, SlTenth *tenth)
{
	SlTenth all[SL_TENTHS] = {0};
	int count = 0;

	for (size_t i = 0; i < p->summary->rows; i++)
	{
		double value = p->row[i].by[SL_BY_MODEL];
		SlTenth *t;

		if (!(value >= 0 && value <= 1))
			continue;
		t = &all[value < 1 ? (int) (value * SL_TENTHS) : SL_TENTHS - 1];
		t->rows++;
		t->predicted += value;
		t->actual += p->row[i].actual;
	}
	for (int b = 0; b < SL_TENTHS; b++)
		if (all[b].rows > 0)
			tenth[count++] =
				(SlTenth){.rows = all[b].rows,
						  .predicted = all[b].predicted / (double) all[b].rows,
						  .actual = all[b].actual / (double) all[b].rows};
	return count;
}

void
sl_plot_calibration(SlMarkup *out, const char *id, const SlPredicted *p)
{
	SlTenth tenth[SL_TENTHS];
	double predicted[SL_TENTHS];
	double actual[SL_TENTHS];
	int count = sl_calibrate(p, tenth);
	char title[256];
	char description[1024];
	int used;
	SlChart chart;

	snprintf(title, sizeof(title), "Calibration of %s, version %d, %s rows", p->model,
			 p->version, p->part);
	used = snprintf(description, sizeof(description),
					"Mean predicted probability and share that were true of %zu rows, by "
					"tenths of the probability:",
					p->summary->rows);
	for (int b = 0; b < count; b++)
	{
		predicted[b] = tenth[b].predicted;
		actual[b] = tenth[b].actual;
		used += snprintf(description + used, sizeof(description) - (size_t) used,
						 "%s %.3f and %.3f", b ? ";" : "", predicted[b], actual[b]);
	}
	snprintf(description + used, sizeof(description) - (size_t) used,
			 ". On the dashed diagonal both are equal.");
	sl_svg_open(out, id, SL_PANEL_WIDTH, SL_PANEL_HEIGHT, title, description);
	sl_chart_place(&chart, out, 0, 0, SL_PANEL_WIDTH, SL_PANEL_HEIGHT);
	sl_scale_fit(&chart.x, &chart.x_ticks, SL_PLAIN, false, 0, 1, 6);
	chart.y = chart.x;
	chart.y_ticks = chart.x_ticks;
	sl_chart_axes(&chart, "Predicted probability against what came true",
				  "predicted probability", "share that were true");
	sl_chart_rule(&chart, 0, 0, 1, 1);
	sl_chart_line(&chart, 0, count, predicted, actual);
	sl_put(out, "\n");
	sl_svg_close(out);
}
