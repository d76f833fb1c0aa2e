/*
 * cluster_plots.c: the elbow, points by cluster, and silhouettes.
 */
#include "report/cluster_plots.h"

#include <math.h>
#include <stdio.h>

#define WIDTH 440.0
#define HEIGHT 330.0
/* Corners of a silhouette's outline. */
#define CORNERS 200

void
sl_plot_elbow(SlMarkup *out, const char *id, const SlElbow *elbow)
{
	SlChart chart;
	char title[256];
	char description[512];
	double low = INFINITY;
	double high = -INFINITY;
	double from = elbow->k[0];
	double to = elbow->k[elbow->n - 1];

	for (int i = 0; i < elbow->n; i++)
	{
		low = fmin(low, elbow->inertia[i]);
		high = fmax(high, elbow->inertia[i]);
	}
	snprintf(title, sizeof(title), "Inertia by number of clusters: %.80s", elbow->source);
	snprintf(
		description, sizeof(description),
		"The sum of squared distances falls from %.4g at %.0f clusters to %.4g at %.0f.%s",
		elbow->inertia[0], from, elbow->inertia[elbow->n - 1], to,
		isfinite(elbow->knee) ? " A dashed line marks where the curve bends." : "");
	sl_svg_open(out, id, WIDTH, HEIGHT, title, description);
	sl_chart_place(&chart, out, 0, 0, WIDTH, HEIGHT);
	sl_scale_fit(&chart.x, &chart.x_ticks, SL_PLAIN, false, from,
				 to > from ? to : from + 1, to - from < 8 ? (int) fmax(to - from, 1) : 8);
	sl_scale_fit(&chart.y, &chart.y_ticks, SL_PLAIN, false, fmin(low, 0), high, 5);
	sl_chart_axes(&chart, "Inertia by number of clusters", "clusters k",
				  elbow->standardized ? "sum of squared distances, standardized columns"
									  : "sum of squared distances");
	if (isfinite(elbow->knee))
	{
		char label[64];

		snprintf(label, sizeof(label), "knee: k = %.0f", elbow->knee);
		sl_chart_rule(&chart, elbow->knee, chart.y.low, elbow->knee, chart.y.high);
		sl_chart_text(out, sl_chart_x(&chart, elbow->knee) + 6, chart.top + 13, "start",
					  "sl-q", label);
	}
	sl_chart_line(&chart, 0, elbow->n, elbow->k, elbow->inertia);
	sl_svg_close(out);
}

/* ---- points ---- */

/* The numbers of the clusters with their colours, as many as fit. */
static void
cloud_legend(const SlCloud *cloud, const SlChart *chart)
{
	enum
	{
		SHOWN = 8
	};
	char label[SHOWN][16];
	const char *names[SHOWN];
	int series[SHOWN];
	int count = cloud->clusters < SHOWN ? cloud->clusters : SHOWN;

	for (int c = 0; c < count; c++)
	{
		snprintf(label[c], sizeof(label[c]), "%d", c);
		names[c] = label[c];
		series[c] = c;
	}
	sl_chart_legend(chart, count, names, series);
}

void
sl_plot_cloud(SlMarkup *out, const char *id, const SlCloud *cloud)
{
	SlChart chart;
	SlUnit x_unit = sl_unit_of(cloud->x_name);
	SlUnit y_unit = sl_unit_of(cloud->y_name);
	char text[512];

	snprintf(text, sizeof(text), "Clusters of %s by %.80s and %.80s", cloud->name,
			 cloud->x_name, cloud->y_name);
	sl_svg_open(
		out, id, WIDTH, HEIGHT, text,
		"Points in the colours of their clusters; a larger numbered mark stands at each "
		"cluster's mean.");
	sl_chart_place(&chart, out, 0, 0, WIDTH, HEIGHT);
	sl_scale_fit(&chart.x, &chart.x_ticks, x_unit, cloud->logarithmic[0], cloud->low[0],
				 cloud->high[0], 6);
	sl_scale_fit(&chart.y, &chart.y_ticks, y_unit, cloud->logarithmic[1], cloud->low[1],
				 cloud->high[1], 6);
	snprintf(text, sizeof(text), "%.60s%s", cloud->x_name,
			 cloud->logarithmic[0] ? ", log scale" : "");
	{
		char title[128];
		char y_label[128];

		if (cloud->points < cloud->all)
			snprintf(title, sizeof(title), "%.30s: %zu of %zu points", cloud->name,
					 cloud->points, cloud->all);
		else
			snprintf(title, sizeof(title), "%.30s: %zu points", cloud->name, cloud->all);
		snprintf(y_label, sizeof(y_label), "%.28s%s", cloud->y_name,
				 cloud->logarithmic[1] ? ", log scale" : "");
		sl_chart_axes(&chart, title, text, y_label);
	}
	for (size_t i = 0; i < cloud->points; i++)
		sl_chart_dot(&chart, cloud->cluster[i], cloud->x[i], cloud->y[i]);
	sl_put(out, "\n");
	for (int c = 0; c < cloud->clusters; c++)
		if (isfinite(cloud->center_x[c]) && isfinite(cloud->center_y[c]))
		{
			char label[16];
			double x = sl_chart_x(&chart, cloud->center_x[c]);
			double y = sl_chart_y(&chart, cloud->center_y[c]);

			sl_chart_mean(&chart, c, cloud->center_x[c], cloud->center_y[c]);
			snprintf(label, sizeof(label), "%d", c);
			sl_chart_text(out, x + 10, y + 4.5, "start", "sl-k", label);
		}
	cloud_legend(cloud, &chart);
	sl_svg_close(out);
}

/* ---- silhouettes ---- */

static void
outline(const SlSilhouettes *s, const SlChart *chart, int c, double top, double height)
{
	size_t n = s->start[c + 1] - s->start[c];
	size_t corners = n < CORNERS ? n : CORNERS;
	const double *value = s->value + s->start[c];
	double zero = sl_chart_x(chart, 0);

	sl_putf(chart->out, "<path class=\"sl-b sl-%d\" d=\"M%.1f %.2f", c % SL_COLORS, zero,
			top);
	for (size_t i = 0; i < corners; i++)
	{
		/* the value in the middle of each stretch of points, as a step */
		size_t at = (size_t) (((double) i + 0.5) * (double) n / (double) corners);

		sl_putf(chart->out, "H%.1fV%.2f", sl_chart_x(chart, value[at]),
				top + height * (double) (i + 1) / (double) corners);
	}
	sl_putf(chart->out, "H%.1fz\"/>\n", zero);
}

void
sl_plot_silhouettes(SlMarkup *out, const char *id, const SlSilhouettes *s)
{
	SlChart chart;
	char text[512];
	char label[64];
	double low = 0;
	double gap = s->clusters > 20 ? 1 : 5;
	double height = HEIGHT + (s->clusters > 10 ? 16.0 * (s->clusters - 10) : 0);
	double room;
	double top;

	for (size_t i = 0; i < s->points; i++)
		low = fmin(low, s->value[i]);
	snprintf(text, sizeof(text), "Silhouettes of %s", s->name);
	snprintf(label, sizeof(label), "%.3f", s->mean);
	{
		char description[256];

		snprintf(
			description, sizeof(description),
			"A band for each of %d clusters, its %zu points in all sorted by silhouette; the dashed "
			"line is the mean, %s.",
			s->clusters, s->points, label);
		sl_svg_open(out, id, WIDTH, height, text, description);
	}
	sl_chart_place(&chart, out, 0, 0, WIDTH, height);
	sl_scale_fit(&chart.x, &chart.x_ticks, SL_PLAIN, false, low, 1, 6);
	snprintf(label, sizeof(label), "%.40s", s->name);
	sl_chart_axes(&chart, text, "silhouette, \u22121 to 1", "cluster: points");
	room = chart.height - gap * (s->clusters + 1);
	top = chart.top + gap;
	for (int c = 0; c < s->clusters; c++)
	{
		size_t n = s->start[c + 1] - s->start[c];
		double band = room * (double) n / (double) s->points;

		outline(s, &chart, c, top, band);
		if (band > 9)
		{
			snprintf(label, sizeof(label), "%d: %zu", s->number[c], n);
			sl_chart_text(out, chart.left - 7, top + band / 2 + 4.3, "end", NULL, label);
		}
		top += band + gap;
	}
	/* the y scale is unused: from edge to edge */
	chart.y = (SlScale){.low = 0, .high = 1};
	sl_chart_rule(&chart, s->mean, 0, s->mean, 1);
	snprintf(label, sizeof(label), "mean %.3f", s->mean);
	sl_chart_text(out, chart.left + chart.width, chart.top - 12, "end", NULL, label);
	sl_svg_close(out);
}
