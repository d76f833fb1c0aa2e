/*
 * chart.c: SVG from scales and values.
 *
 * Coordinates are in the drawing's own units, one of which is a CSS pixel at natural
 * size.  The style sheet comes with every drawing, so that each stands for itself; in
 * a page with several the copies agree.
 */
#include "report/chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MARGIN_LEFT 62.0
#define MARGIN_RIGHT 14.0
#define MARGIN_TOP 58.0
#define MARGIN_BOTTOM 42.0
/* Lines of at most so many points have them marked. */
#define MARKED 60

/* Colours apart in hue and lightness, also for those who do not see red and green. */
static const char style[] =
	".sl-svg{color:#1f2328;background:#fff;font:12.5px system-ui,-apple-system,'Segoe "
	"UI',Roboto,sans-serif;font-variant-numeric:tabular-nums}"
	".sl-svg text{fill:currentColor;unicode-bidi:isolate}"
	".sl-svg .sl-h{font-size:14px;font-weight:600}"
	".sl-svg .sl-q{fill:#59636e}"
	".sl-svg .sl-k{font-weight:700;paint-order:stroke;stroke:#fff;stroke-width:3px}"
	".sl-g{stroke:#d9dee3;stroke-width:1;fill:none}"
	".sl-a{stroke:#8b949e;stroke-width:1;fill:none}"
	".sl-d{stroke:#59636e;stroke-width:1.2;stroke-dasharray:5 4;fill:none}"
	".sl-l{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}"
	".sl-l{stroke:currentColor}.sl-m,.sl-o,.sl-b{fill:currentColor}"
	".sl-o{opacity:.38}.sl-m{stroke:#fff;stroke-width:1}"
	".sl-b{fill-opacity:.28;stroke:currentColor;stroke-width:1.2}"
	".sl-0{color:#0b62b8}.sl-1{color:#c4510a}.sl-2{color:#147a56}.sl-3{color:#9a3d8f}"
	".sl-4{color:#866a00}.sl-5{color:#0b7f94}.sl-6{color:#b3243f}.sl-7{color:#59636e}"
	"@media screen and (prefers-color-scheme:dark){"
	".sl-svg{color:#e6e9ed;background:#14171b}.sl-svg .sl-q{fill:#a3adb8}"
	".sl-g{stroke:#2c323a}.sl-a{stroke:#6b7480}.sl-d{stroke:#a3adb8}.sl-m,.sl-svg .sl-k{stroke:#14171b}"
	".sl-0{color:#64b1f5}.sl-1{color:#f79a57}.sl-2{color:#4fc79a}.sl-3{color:#dd93d3}"
	".sl-4{color:#dcbb4a}.sl-5{color:#56c8dc}.sl-6{color:#f58397}.sl-7{color:#a3adb8}}"
	"@media print{.sl-svg{background:none}}";

void
sl_svg_open(SlMarkup *out, const char *id, double width, double height, const char *title,
			const char *description)
{
	sl_putf(out,
			"<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"sl-svg\" role=\"img\" "
			"viewBox=\"0 0 %g %g\" width=\"%g\" height=\"%g\" "
			"aria-labelledby=\"%s-title %s-desc\">",
			width, height, width, height, id, id);
	sl_putf(out, "<title id=\"%s-title\">", id);
	sl_put_text(out, title);
	sl_putf(out, "</title><desc id=\"%s-desc\">", id);
	sl_put_text(out, description);
	sl_put(out, "</desc><style>");
	sl_put(out, style);
	sl_put(out, "</style>\n");
}

void
sl_svg_close(SlMarkup *out)
{
	sl_put(out, "</svg>");
}

void
sl_chart_place(SlChart *chart, SlMarkup *out, double left, double top, double width,
			   double height)
{
	memset(chart, 0, sizeof(*chart));
	chart->out = out;
	chart->left = left + MARGIN_LEFT;
	chart->top = top + MARGIN_TOP;
	chart->width = width - MARGIN_LEFT - MARGIN_RIGHT;
	chart->height = height - MARGIN_TOP - MARGIN_BOTTOM;
}

double
sl_chart_x(const SlChart *chart, double value)
{
	return chart->left + chart->width * sl_scale_position(&chart->x, value);
}

double
sl_chart_y(const SlChart *chart, double value)
{
	return chart->top + chart->height * (1 - sl_scale_position(&chart->y, value));
}

void
sl_chart_text(SlMarkup *out, double x, double y, const char *anchor, const char *kind,
			  const char *text)
{
	sl_putf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"", x, y, anchor);
	if (kind)
		sl_putf(out, " class=\"%s\"", kind);
	sl_put(out, ">");
	sl_put_short(out, text, 60);
	sl_put(out, "</text>");
}

static void
line_between(SlMarkup *out, const char *kind, double x1, double y1, double x2, double y2)
{
	sl_putf(out, "<path class=\"%s\" d=\"M%.1f %.1fL%.1f %.1f\"/>", kind, x1, y1, x2, y2);
}

/* About half the width of a label. */
static double
half_width(const char *label)
{
	return 3.6 * (double) strlen(label);
}

/* The smallest number n such that every n-th label has room. */
static int
label_every(const SlChart *chart)
{
	for (int every = 1;; every++)
	{
		double free = -1e9;
		bool fits = true;

		for (int i = 0; i < chart->x_ticks.count; i += every)
		{
			char label[64];
			double at = sl_chart_x(chart, chart->x_ticks.at[i]);

			sl_tick_label(&chart->x, chart->x_ticks.step, chart->x_ticks.at[i], label,
						  sizeof(label));
			fits = fits && at - half_width(label) >= free;
			free = at + half_width(label) + 5;
		}
		if (fits || every >= chart->x_ticks.count)
			return every;
	}
}

static void
tick_labels_x(const SlChart *chart)
{
	char label[64];
	double bottom = chart->top + chart->height;
	int every = label_every(chart);

	for (int i = 0; i < chart->x_ticks.count; i++)
	{
		double at = sl_chart_x(chart, chart->x_ticks.at[i]);

		line_between(chart->out, "sl-g", at, chart->top, at, bottom);
		if (i % every != 0)
			continue;
		sl_tick_label(&chart->x, chart->x_ticks.step, chart->x_ticks.at[i], label,
					  sizeof(label));
		sl_chart_text(chart->out, at, bottom + 16, "middle", NULL, label);
	}
}

static void
tick_labels_y(const SlChart *chart)
{
	char label[64];

	for (int i = 0; i < chart->y_ticks.count; i++)
	{
		double at = sl_chart_y(chart, chart->y_ticks.at[i]);

		line_between(chart->out, "sl-g", chart->left, at, chart->left + chart->width, at);
		sl_tick_label(&chart->y, chart->y_ticks.step, chart->y_ticks.at[i], label,
					  sizeof(label));
		sl_chart_text(chart->out, chart->left - 7, at + 4.3, "end", NULL, label);
	}
}

void
sl_chart_axis_y(const SlChart *chart, const char *title, const char *x_label,
				const char *y_label)
{
	double bottom = chart->top + chart->height;

	sl_chart_text(chart->out, chart->left - MARGIN_LEFT + 8, chart->top - MARGIN_TOP + 18,
				  "start", "sl-h", title);
	sl_chart_text(chart->out, chart->left - MARGIN_LEFT + 8, chart->top - 12, "start",
				  "sl-q", y_label);
	sl_chart_text(chart->out, chart->left + chart->width, bottom + 34, "end", "sl-q",
				  x_label);
	tick_labels_y(chart);
	line_between(chart->out, "sl-a", chart->left, bottom, chart->left + chart->width,
				 bottom);
}

void
sl_chart_axes(const SlChart *chart, const char *title, const char *x_label,
			  const char *y_label)
{
	tick_labels_x(chart);
	sl_chart_axis_y(chart, title, x_label, y_label);
	sl_put(chart->out, "\n");
}

/* ---- marks ---- */

static void
marker(SlMarkup *out, int series, double x, double y, double r)
{
	int color = series % SL_COLORS;

	switch (series / SL_COLORS % 4)
	{
		case 0:
			sl_putf(out,
					"<circle class=\"sl-m sl-%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"%g\"/>",
					color, x, y, r);
			break;
		case 1:
			sl_putf(
				out,
				"<rect class=\"sl-m sl-%d\" x=\"%.1f\" y=\"%.1f\" width=\"%g\" height=\"%g\"/>",
				color, x - r, y - r, 2 * r, 2 * r);
			break;
		case 2:
			sl_putf(out, "<path class=\"sl-m sl-%d\" d=\"M%.1f %.1fl%g %gh%gz\"/>", color,
					x, y - r, r, 2 * r, -2 * r);
			break;
		default:
			sl_putf(out,
					"<path class=\"sl-m sl-%d\" d=\"M%.1f %.1fl%g %gl%g %gl%g %gz\"/>",
					color, x, y - r, r, r, -r, r, -r, -r);
	}
}

void
sl_chart_point(const SlChart *chart, int series, double x, double y)
{
	marker(chart->out, series, sl_chart_x(chart, x), sl_chart_y(chart, y), 3.5);
}

void
sl_chart_mean(const SlChart *chart, int series, double x, double y)
{
	marker(chart->out, series, sl_chart_x(chart, x), sl_chart_y(chart, y), 6.5);
}

void
sl_chart_dot(const SlChart *chart, int series, double x, double y)
{
	sl_putf(chart->out, "<circle class=\"sl-o sl-%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2\"/>",
			series % SL_COLORS, sl_chart_x(chart, x), sl_chart_y(chart, y));
}

void
sl_chart_line(const SlChart *chart, int series, int n, const double *x, const double *y)
{
	bool pen = false;

	sl_putf(chart->out, "<path class=\"sl-l sl-%d\" d=\"", series % SL_COLORS);
	for (int i = 0; i < n; i++)
	{
		bool there = isfinite(x[i]) && isfinite(y[i]);

		if (there)
			sl_putf(chart->out, "%c%.1f %.1f", pen ? 'L' : 'M', sl_chart_x(chart, x[i]),
					sl_chart_y(chart, y[i]));
		pen = there;
	}
	sl_put(chart->out, "\"/>");
	for (int i = 0; i < n && n <= MARKED; i++)
		if (isfinite(x[i]) && isfinite(y[i]))
			sl_chart_point(chart, series, x[i], y[i]);
	sl_put(chart->out, "\n");
}

void
sl_chart_rule(const SlChart *chart, double x1, double y1, double x2, double y2)
{
	line_between(chart->out, "sl-d", sl_chart_x(chart, x1), sl_chart_y(chart, y1),
				 sl_chart_x(chart, x2), sl_chart_y(chart, y2));
}

void
sl_chart_box(const SlChart *chart, int series, double center, double width,
			 const double levels[5])
{
	double y[5];
	int color = series % SL_COLORS;

	for (int i = 0; i < 5; i++)
		y[i] = sl_chart_y(chart, levels[i]);
	sl_putf(chart->out,
			"<path class=\"sl-b sl-%d\" d=\"M%.1f %.1fV%.1fM%.1f %.1fV%.1f\"/>", color,
			center, y[0], y[1], center, y[3], y[4]);
	sl_putf(
		chart->out,
		"<rect class=\"sl-b sl-%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
		color, center - width / 2, y[3], width, fmax(y[1] - y[3], 0.5));
	sl_putf(chart->out, "<path class=\"sl-l sl-%d\" d=\"M%.1f %.1fh%.1f\"/>\n", color,
			center - width / 2, y[2], width);
}

/* What a legend leaves for the label of the axis. */
#define LABEL_WIDTH 48

/* As much of a UTF-8 text as so many bytes hold, with an ellipsis where some is left out.
 */
static void
shorten(const char *text, double bytes, char *out, size_t size)
{
	size_t most = bytes < 4 ? 4 : bytes < (double) size ? (size_t) bytes : size - 1;
	size_t n = strlen(text);

	if (n <= most)
	{
		memcpy(out, text, n + 1);
		return;
	}
	for (n = most - 3; n > 0 && ((unsigned char) text[n] & 0xc0) == 0x80;)
		n--;
	memcpy(out, text, n);
	memcpy(out + n, "\u2026", sizeof("\u2026"));
}

void
sl_chart_legend(const SlChart *chart, int count, const char *const *names,
				const int *series)
{
	double x = chart->left + chart->width;
	double room = x - LABEL_WIDTH;
	double all = 0;
	char name[128];

	for (int i = 0; i < count; i++)
		all += 7.0 * (double) strlen(names[i]) + 26;
	/* from the right, above the plot */
	for (int i = count - 1; i >= 0; i--)
	{
		shorten(names[i], all > room ? (room / count - 26) / 7 : sizeof(name), name,
				sizeof(name));
		x -= 7.0 * (double) strlen(name);
		sl_chart_text(chart->out, x, chart->top - 12, "start", NULL, name);
		x -= 10;
		marker(chart->out, series[i], x, chart->top - 16, 4);
		x -= 16;
	}
}
