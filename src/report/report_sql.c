/*
 * report_sql.c: report(model): one page about the version of a model that serves.
 *
 * Sections follow a reader's questions: how good is it, where is it off, how did it
 * learn, from what, and what is it.
 */
#include "postgres.h"

#include <math.h>

#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "report/page.h"

PG_FUNCTION_INFO_V1(sl_report);

typedef struct Report
{
	SlHtml page;
	SlReported *reported;
	const char *source;			/* given by the caller, or NULL */
	bool gone;					/* it is not there */
	bool quantity;				/* the target is one, and not a class or an item */
	SlPredictions *predictions; /* NULL where the source is gone, and of items */
	SlLearning *learning;
	bool clusters; /* there is a network for each */
	SlScore score[SL_PREDICTORS];
} Report;

/* ---- how good ---- */

static void
tile(SlHtml *page, const char *name, const char *value, const char *note)
{
	sl_put(&page->out, "<div><dt>");
	sl_put_text(&page->out, name);
	sl_put(&page->out, "</dt><dd>");
	sl_put_text(&page->out, value);
	sl_put(&page->out, "<small>");
	sl_put_text(&page->out, note);
	sl_put(&page->out, "</small></dd></div>\n");
}

static const char *
length_note(const Report *r, double value, const char *otherwise)
{
	char label[64];

	if (r->reported->unit != SL_SECONDS || !isfinite(value))
		return otherwise;
	sl_duration_label(value, label, sizeof(label));
	return psprintf("seconds, or %s", label);
}

static void
put_tiles(Report *r)
{
	const SlScore *own = &r->score[SL_BY_MODEL];

	sl_put(&r->page.out, "<dl class=\"tiles\">\n");
	tile(&r->page, "Mean absolute error", sl_number_text(own->mae),
		 length_note(r, own->mae, r->reported->target));
	tile(&r->page, "Normalized MAE", sl_number_text(own->normalized_mae),
		 "1 is each user\u2019s mean");
	tile(&r->page, "Median absolute error", sl_number_text(own->median_ae),
		 length_note(r, own->median_ae, r->reported->target));
	tile(&r->page, "Held-out rows", sl_count_text((int64) r->predictions->rows),
		 "part \u201ctest\u201d");
	sl_put(&r->page.out, "</dl>\n");
}

static void
put_errors(Report *r)
{
	static const char *const heads[] = {"predictor", "#MAE", "#RMSE", "#median AE",
										"#normalized MAE"};
	SlHtml *page = &r->page;
	double most = 0;
	int decimals;

	for (int i = 0; i < SL_PREDICTORS; i++)
		most = fmax(most, r->score[i].mae); /* which skips NaN */
	decimals = sl_decimals(most);
	sl_html_table(page, psprintf("Errors of %s%s on held-out rows", r->reported->target,
								 sl_unit_suffix(r->reported->unit)));
	sl_html_heads(page, lengthof(heads), heads);
	for (int i = 0; i < SL_PREDICTORS; i++)
	{
		if (i == SL_BY_MODEL)
			sl_html_row_head_own(page, r->reported->model);
		else
			sl_html_row_head(page, sl_predictor_name(i));
		sl_html_cell_bar(page, r->score[i].mae, decimals, most);
		sl_html_cell_fixed(page, r->score[i].rmse, decimals);
		sl_html_cell_fixed(page, r->score[i].median_ae, decimals);
		sl_html_cell_fixed(page, r->score[i].normalized_mae, 3);
		sl_html_row_end(page);
	}
	sl_html_table_end(page);
	sl_html_paragraph(
		page, "note",
		"Baselines: each user\u2019s mean and median over the training rows, the "
		"value of the row before, and the median over all. Normalized MAE is the "
		"error divided by that of the user mean on the same rows.");
}

/* Networks of clusters side by side; the rows served by the network of all users last. */
static void
table_of_clusters(Report *r)
{
	static const char *const heads[] = {"cluster", "#rows",			 "#MAE",
										"#RMSE",   "#user mean MAE", "#normalized MAE"};
	const SlPredictions *p = r->predictions;
	int last = -1;
	int decimals = sl_decimals(r->score[SL_BY_MODEL].rmse);

	for (size_t i = 0; i < p->rows; i++)
		last = Max(last, p->row[i].cluster);
	if (last < 0)
		return;
	sl_html_table(&r->page,
				  psprintf("By cluster: errors of %s%s on held-out rows",
						   r->reported->target, sl_unit_suffix(r->reported->unit)));
	sl_html_heads(&r->page, lengthof(heads), heads);
	for (int c = 0; c <= last + 1; c++)
	{
		int cluster = c <= last ? c : -1;
		SlScore own;
		SlScore base;

		CHECK_FOR_INTERRUPTS();
		sl_score_rows(p->row, p->rows, cluster, SL_BY_MODEL, p->scratch, &own);
		if (own.rows == 0)
			continue;
		sl_score_rows(p->row, p->rows, cluster, SL_BY_USER_MEAN, p->scratch, &base);
		sl_html_row_head(&r->page, cluster < 0 ? "none" : psprintf("%d", cluster));
		sl_html_cell_count(&r->page, (long long) own.rows);
		sl_html_cell_fixed(&r->page, own.mae, decimals);
		sl_html_cell_fixed(&r->page, own.rmse, decimals);
		sl_html_cell_fixed(&r->page, base.mae, decimals);
		sl_html_cell_fixed(&r->page, own.normalized_mae, 3);
		sl_html_row_end(&r->page);
	}
	sl_html_table_end(&r->page);
}

static void
section_errors(Report *r)
{
	SlHtml *page = &r->page;

	sl_html_section(page, "errors", "Errors beside the baselines");
	if (r->gone)
		sl_html_paragraph(
			page, NULL,
			psprintf("The source \u201c%s\u201d is no longer there, so nothing can be "
					 "predicted from it. Errors and predictions are left out.",
					 r->reported->source));
	else if (!r->quantity)
		sl_page_scores(page, r->reported, r->source);
	else if (r->predictions->rows == 0)
		sl_html_paragraph(
			page, NULL,
			"No held-out row has a known target, so there is nothing to measure: "
			"errors and predictions are left out.");
	else
	{
		put_tiles(r);
		put_errors(r);
		table_of_clusters(r);
	}
	sl_html_section_end(page);
}

/* ---- where it is off ---- */

static void
table_of_bands(Report *r)
{
	static const char *const heads[] = {"band",			  "#rows",			"#MAE",
										"#user mean MAE", "#10 % quantile", "#median",
										"#90 % quantile"};
	const SlSummary *s = &r->predictions->summary;
	char label[80];
	double mae = 0;
	double residual = 0;

	for (int b = 0; b < s->bands; b++)
	{
		mae = fmax(mae, fmax(s->band[b].mae, s->band[b].user_mean_mae));
		residual =
			fmax(residual, fmax(fabs(s->band[b].level[0]), fabs(s->band[b].level[4])));
	}
	sl_html_table(
		&r->page,
		psprintf("By band of the actual %s%s; quantiles of %s", r->reported->target,
				 sl_unit_suffix(r->reported->unit),
				 s->logarithmic ? "predicted \u00f7 actual" : "predicted \u2212 actual"));
	sl_html_heads(&r->page, lengthof(heads), heads);
	for (int b = 0; b < s->bands; b++)
	{
		const SlBand *band = &s->band[b];

		sl_band_label(s, r->reported->unit, b, label, sizeof(label));
		sl_html_row_head(&r->page, label);
		sl_html_cell_count(&r->page, (long long) band->rows);
		sl_html_cell_fixed(&r->page, band->mae, sl_decimals(mae));
		sl_html_cell_fixed(&r->page, band->user_mean_mae, sl_decimals(mae));
		sl_html_cell_fixed(&r->page, band->level[0], sl_decimals(residual));
		sl_html_cell_fixed(&r->page, band->level[2], sl_decimals(residual));
		sl_html_cell_fixed(&r->page, band->level[4], sl_decimals(residual));
		sl_html_row_end(&r->page);
	}
	sl_html_table_end(&r->page);
}

static void
table_of_points(Report *r)
{
	static const char *const heads[] = {"point", "#actual", "#predicted"};
	const SlPredictions *p = r->predictions;
	int decimals = sl_decimals(p->summary.high);

	sl_html_details(&r->page, psprintf("Table of the %zu points drawn", p->drawn_rows));
	sl_html_table(&r->page, psprintf("Actual and predicted %s%s", r->reported->target,
									 sl_unit_suffix(r->reported->unit)));
	sl_html_heads(&r->page, lengthof(heads), heads);
	for (size_t i = 0; i < p->drawn_rows; i++)
	{
		sl_html_row_head(&r->page, sl_count_text((int64) p->drawn[i] + 1));
		sl_html_cell_fixed(&r->page, p->row[p->drawn[i]].actual, decimals);
		sl_html_cell_fixed(&r->page, p->row[p->drawn[i]].by[SL_BY_MODEL], decimals);
		sl_html_row_end(&r->page);
	}
	sl_html_table_end(&r->page);
	sl_html_details_end(&r->page);
}

static void
table_of_samples(Report *r)
{
	static const char *const heads[] = {"#actual", "#predicted", "#user mean",
										"#lowest quantile", "#highest quantile"};
	const SlPredictions *p = r->predictions;
	bool quantiles = isfinite(p->sample[0].low);
	int decimals = sl_decimals(p->summary.high);
	char **names =
		sl_page_texts("SELECT partition_by, order_by FROM sessionlen.model_versions"
					  " WHERE model = $1 AND version = $2",
					  r->reported);
	const char *all[2 + lengthof(heads)] = {names[0], names[1]};

	memcpy(all + 2, heads, sizeof(heads));
	sl_html_table(&r->page,
				  psprintf("%d of the %s held-out rows, spread evenly; %s%s", p->samples,
						   sl_count_text((int64) p->rows), r->reported->target,
						   sl_unit_suffix(r->reported->unit)));
	sl_html_heads(&r->page, quantiles ? 7 : 5, all);
	for (int i = 0; i < p->samples; i++)
	{
		const SlSample *sample = &p->sample[i];

		sl_html_row_head(&r->page, sample->key);
		sl_html_cell(&r->page, sample->order);
		sl_html_cell_fixed(&r->page, sample->outcome.actual, decimals);
		sl_html_cell_fixed(&r->page, sample->outcome.by[SL_BY_MODEL], decimals);
		sl_html_cell_fixed(&r->page, sample->outcome.by[SL_BY_USER_MEAN], decimals);
		if (quantiles)
		{
			sl_html_cell_fixed(&r->page, sample->low, decimals);
			sl_html_cell_fixed(&r->page, sample->high, decimals);
		}
		sl_html_row_end(&r->page);
	}
	sl_html_table_end(&r->page);
}

static void
quantities(Report *r, const SlPredicted *predicted)
{
	SlHtml *page = &r->page;
	const SlPredictions *p = r->predictions;
	size_t edge = sl_points_at_edge(predicted);

	sl_put(&page->out, "<div class=\"charts\">\n");
	sl_html_figure(page);
	sl_plot_predicted(&page->out, "sl-predictions", predicted, SL_PANEL_FIRST);
	sl_html_figure_end(
		page,
		psprintf(
			"%s of %s rows drawn%s%s. On the dashed line the prediction is right.",
			sl_count_text((int64) p->drawn_rows), sl_count_text((int64) p->rows),
			p->drawn_rows < p->rows ? ", one from each of as many equal stretches" : "",
			edge > 0 ? psprintf("; %zu below the axes stand at their edge", edge) : ""));
	sl_html_figure(page);
	sl_plot_predicted(&page->out, "sl-residuals", predicted, SL_PANEL_SECOND);
	sl_html_figure_end(
		page, "Boxes hold the middle half of all held-out rows, lines reach from the "
			  "10 % to the 90 % quantile, the middle line is the median.");
	sl_put(&page->out, "</div>\n");
	table_of_bands(r);
	table_of_points(r);
}

static void
section_predictions(Report *r)
{
	SlHtml *page = &r->page;
	SlPredicted predicted;

	if (r->predictions == NULL || r->predictions->rows == 0)
		return;
	predicted = sl_predicted(r->reported, r->predictions, "test");
	sl_html_section(page, "predictions", "Predictions");
	if (r->quantity)
		quantities(r, &predicted);
	else
		sl_page_calibration(page, &predicted);
	sl_put(&page->out, "<h3>Row by row</h3>\n");
	table_of_samples(r);
	sl_html_section_end(page);
}

/* ---- how it learned ---- */

static void
table_of_epochs(Report *r)
{
	static const char *const heads[] = {"epoch", "#training loss", "#validation loss",
										"#validation MAE"};
	bool named = r->learning->curves > 1 || r->learning->curve[0].name != NULL;

	sl_html_details(&r->page, "Table of the epochs drawn");
	for (int c = 0; c < r->learning->curves; c++)
	{
		const SlCurve *curve = &r->learning->curve[c];

		sl_html_table(&r->page,
					  psprintf("Losses (%s) by epoch%s%s; MAE of %s%s", r->reported->loss,
							   named ? ", " : "",
							   !named		 ? ""
							   : curve->name ? curve->name
											 : "all users",
							   r->reported->target, sl_unit_suffix(r->reported->unit)));
		sl_html_heads(&r->page, lengthof(heads), heads);
		for (int i = 0; i < curve->n; i++)
		{
			sl_html_row_head(&r->page, psprintf("%.0f", curve->epoch[i]));
			sl_html_cell_number(&r->page, curve->training[i]);
			sl_html_cell_number(&r->page, curve->validation[i]);
			sl_html_cell_number(&r->page, curve->mae[i]);
			sl_html_row_end(&r->page);
		}
		sl_html_table_end(&r->page);
	}
	sl_html_details_end(&r->page);
}

static void
section_learning(Report *r)
{
	SlHtml *page = &r->page;

	sl_html_section(page, "learning", "How it learned");
	if (r->learning->curves == 0)
		sl_html_paragraph(page, NULL, "The training log has no rows of this version.");
	else
	{
		sl_put(&page->out, "<div class=\"charts\">\n");
		sl_html_figure(page);
		sl_plot_learning(&page->out, "sl-learning", r->learning, SL_PANEL_FIRST);
		sl_html_figure_end(page,
						   psprintf("Losses are in units of the transformed target: %s.",
									r->reported->loss));
		if (sl_has_mae(r->learning))
		{
			sl_html_figure(page);
			sl_plot_learning(&page->out, "sl-validation", r->learning, SL_PANEL_SECOND);
			sl_html_figure_end(
				page, "Mean absolute error on the validation rows, in units of the "
					  "target.");
		}
		sl_put(&page->out, "</div>\n");
		table_of_epochs(r);
	}
	sl_page_query(
		page, "The run",
		"SELECT x.name AS fact, x.value FROM sessionlen.model_versions v, LATERAL (VALUES"
		" ('epochs', v.epochs::text), ('best epoch', v.best_epoch::text),"
		" ('seconds', pg_catalog.round(v.seconds::numeric, 1)::text),"
		" ('ended early', CASE WHEN v.stopped_early THEN 'yes' ELSE 'no' END),"
		" ('computed with', v.blas)) x(name, value)"
		" WHERE v.model = $1 AND v.version = $2 AND x.value IS NOT NULL",
		r->reported);
	sl_html_section_end(page);
}

/* ---- from what, and what it is ---- */

static void
section_data(Report *r)
{
	SlHtml *page = &r->page;
	char *code = r->reported->source;

	sl_html_section(page, "data", "Data");
	sl_put(&page->out, "<p>Trained on</p>\n<pre><code>");
	sl_put_text(&page->out, code);
	sl_put(&page->out, "</code></pre>\n");
	sl_page_query(
		page, "Rows by part",
		"SELECT x.name AS part, x.rows FROM sessionlen.model_versions v, LATERAL (VALUES"
		" ('training', v.training_rows), ('validation', v.validation_rows),"
		" ('test', v.test_rows),"
		" ('all', v.training_rows + v.validation_rows + v.test_rows)) x(name, rows)"
		" WHERE v.model = $1 AND v.version = $2",
		r->reported);
	sl_page_query(
		page, "What the columns are to the model",
		"SELECT x.name AS role, x.value FROM sessionlen.model_versions v, LATERAL (VALUES"
		" ('target', v.target), ('partition by', v.partition_by), ('order by', v.order_by),"
		" ('censored', v.censored), ('sequences', v.sequences::text),"
		" ('split', v.split::text)) x(name, value)"
		" WHERE v.model = $1 AND v.version = $2 AND x.value IS NOT NULL",
		r->reported);
	sl_page_query(
		page,
		psprintf("%s%s over the training rows", r->reported->target,
				 sl_unit_suffix(r->reported->unit)),
		"SELECT x.name AS statistic, x.value FROM sessionlen.baselines b, LATERAL (VALUES"
		" ('rows', b.row_count::float8), ('mean', b.mean), ('median', b.median),"
		" ('users', (SELECT pg_catalog.count(*)::float8 FROM sessionlen.baselines u"
		"   WHERE u.model = $1 AND u.version = $2 AND u.key IS NOT NULL))) x(name, value)"
		" WHERE b.model = $1 AND b.version = $2 AND b.key IS NULL",
		r->reported);
	sl_page_query(
		page, "Input columns and their preparation",
		"SELECT e ->> 'column' AS \"column\", e ->> 'role' AS role,"
		" (e ->> 'as') || CASE WHEN (e ->> 'dim')::int > 0"
		"    THEN ' of ' || (e ->> 'dim') ELSE '' END"
		"  || CASE WHEN (e ->> 'fold')::boolean THEN ', folded' ELSE '' END"
		"  || CASE WHEN (e ->> 'indicator')::boolean THEN ', with a mark where NULL' ELSE ''"
		"     END AS preparation,"
		" CASE WHEN e ->> 'as' NOT IN ('one_hot', 'embedding', 'none')"
		"    THEN (e ->> 'mean')::float8 END AS shift,"
		" CASE WHEN e ->> 'as' NOT IN ('one_hot', 'embedding', 'none')"
		"    THEN (e ->> 'scale')::float8 END AS scale"
		" FROM sessionlen.model_versions v,"
		" pg_catalog.jsonb_array_elements(v.inputs) WITH ORDINALITY i(e, place)"
		" WHERE v.model = $1 AND v.version = $2 ORDER BY i.place",
		r->reported);
	sl_html_section_end(page);
}

#define SHAPE_SIZE                                                                   \
	"coalesce((SELECT pg_catalog.round(pg_catalog.exp(pg_catalog.sum(pg_catalog.ln(" \
	"d::float8)))) FROM pg_catalog.unnest(w.shape) d), 1)::bigint"

static void
section_network(Report *r)
{
	SlHtml *page = &r->page;
	char **texts = sl_page_texts(
		"SELECT v.options ->> 'architecture', pg_catalog.translate(v.options ->> 'hidden_dim', '[]', ''),"
		" (SELECT pg_catalog.sum(" SHAPE_SIZE ")::bigint FROM sessionlen.weights w"
		"   WHERE w.model = $1 AND w.version = $2 AND w.chunk = 0)::text,"
		" (SELECT pg_catalog.count(DISTINCT w.cluster) FROM sessionlen.weights w"
		"   WHERE w.model = $1 AND w.version = $2)::text"
		" FROM sessionlen.model_versions v WHERE v.model = $1 AND v.version = $2",
		r->reported);

	sl_html_section(page, "network", "Network");
	sl_html_paragraph(
		page, NULL,
		psprintf("Architecture %s with hidden size %s: %s parameters%s.",
				 texts[0] ? texts[0] : "?", texts[1] ? texts[1] : "?",
				 sl_count_text(texts[2] ? atoll(texts[2]) : 0),
				 strcmp(texts[3], "0") == 0
					 ? ""
					 : psprintf(" in the networks of %s clusters", texts[3])));
	if (strcmp(texts[3], "0") != 0)
		sl_page_query(
			page, "The networks of clusters",
			"SELECT c.cluster::text, c.sequences, c.training_rows AS \"training rows\","
			" c.validation_rows AS \"validation rows\", c.epochs::bigint,"
			" c.best_epoch::bigint AS \"best epoch\", c.validation_mae AS \"validation MAE\""
			" FROM sessionlen.cluster_networks c WHERE c.model = $1 AND c.version = $2"
			" ORDER BY c.cluster",
			r->reported);
	sl_html_details(page, "Table of the weights");
	sl_page_query(page, "Weights by name",
				  "SELECT w.name, coalesce(w.cluster::text, 'all') AS cluster,"
				  " pg_catalog.array_to_string(w.shape, ' x ') AS shape, " SHAPE_SIZE
				  " AS parameters FROM sessionlen.weights w"
				  " WHERE w.model = $1 AND w.version = $2 AND w.chunk = 0"
				  " ORDER BY w.cluster NULLS FIRST, w.name",
				  r->reported);
	sl_html_details_end(page);
	sl_html_section_end(page);
}

/* An option is shown first if its value is not the default, or the default depends. */
#define OPTIONS(is_default)                                                                \
	"SELECT e.key AS option, CASE WHEN e.value::text ~ '^-?[0-9]+[.]' THEN"                \
	" e.value::text::float8::float4::text ELSE e.value::text END AS value, o.meaning"      \
	" FROM sessionlen.model_versions v, pg_catalog.jsonb_each(v.options) e"                \
	" LEFT JOIN sessionlen.options() o ON o.option = e.key"                                \
	" WHERE v.model = $1 AND v.version = $2 AND " is_default                               \
	" coalesce(o.\"default\"::jsonb IN (e.value,"                                          \
	" CASE WHEN pg_catalog.jsonb_typeof(e.value) = 'array' THEN e.value -> 0 END), false)" \
	" ORDER BY e.key"

static void
section_options(Report *r)
{
	sl_html_section(&r->page, "options", "Options");
	sl_page_query(&r->page, "Set for this run, or chosen by the data", OPTIONS("NOT"),
				  r->reported);
	sl_html_details(&r->page, "Table of the options at their defaults");
	sl_page_query(&r->page, "At their defaults", OPTIONS(""), r->reported);
	sl_html_details_end(&r->page);
	sl_html_section_end(&r->page);
}

/* ---- the page ---- */

static void
open_page(Report *r)
{
	static const char *const ids[] = {"errors", "predictions", "learning", "clusters",
									  "data",	"network",	   "options"};
	static const char *const headings[] = {
		"Errors", "Predictions", "Learning", "Clusters", "Data", "Network", "Options"};
	char **texts = sl_page_texts(
		"SELECT v.options ->> 'architecture', pg_catalog.to_char(v.trained_at, 'YYYY-MM-DD HH24:MI TZ'),"
		" v.trained_by::text FROM sessionlen.model_versions v WHERE v.model = $1 AND v.version = $2",
		r->reported);
	const char *shown[lengthof(ids)];
	const char *names[lengthof(ids)];
	int count = 0;

	sl_html_open(&r->page, psprintf("Model %s", r->reported->model),
				 psprintf("Version %d, %s, predicts %s. Trained on %s by %s.",
						  r->reported->version, texts[0] ? texts[0] : "?",
						  r->reported->target, texts[1], texts[2]));
	for (int i = 0; i < (int) lengthof(ids); i++)
	{
		if (i == 1 && (r->predictions == NULL || r->predictions->rows == 0))
			continue;
		if (i == 3 && !r->clusters)
			continue;
		shown[count] = ids[i];
		names[count++] = headings[i];
	}
	sl_html_contents(&r->page, count, shown, names);
}

static void
read_all(Report *r, const char *model, const char *source)
{
	r->reported = sl_read_version(model, 0);
	r->learning = sl_read_learning(r->reported);
	r->clusters = sl_page_has_clusters(r->reported);
	r->source = source;
	r->quantity = strcmp(r->reported->task, "regression") == 0;
	r->gone = source == NULL && sl_source_is_gone(r->reported->server_source);
	if (r->gone || strcmp(r->reported->task, "next_items") == 0)
		return;
	r->predictions = sl_read_predictions(r->reported, source, "test");
	for (int i = 0; r->quantity && i < SL_PREDICTORS && r->predictions->rows > 0; i++)
		sl_score_rows(r->predictions->row, r->predictions->rows, SL_ALL_CLUSTERS, i,
					  r->predictions->scratch, &r->score[i]);
}

Datum
sl_report(PG_FUNCTION_ARGS)
{
	StringInfoData html;
	Report r = {.page.out = sl_markup_to(&html)};

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("model must not be null")));
	initStringInfo(&html); /* in the caller's context, before SPI has its own */
	SPI_connect();
	read_all(&r, text_to_cstring(PG_GETARG_TEXT_PP(0)),
			 PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)));
	open_page(&r);
	section_errors(&r);
	section_predictions(&r);
	section_learning(&r);
	if (r.clusters)
		sl_page_clusters(&r.page, r.reported);
	section_data(&r);
	section_network(&r);
	section_options(&r);
	sl_page_close(&r.page);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(html.data, html.len));
}
