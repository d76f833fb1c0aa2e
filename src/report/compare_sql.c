/*
 * compare_sql.c: report(models): several models and their baselines in one table.
 *
 * Models are read one after the other, and only their scores are kept.  Baselines that
 * agree, as they do for models of one source and split, are shown once.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "report/page.h"
#include "store/json.h"

PG_FUNCTION_INFO_V1(sl_report_models);

#define MAX_MODELS 100

typedef struct Row
{
	bool own; /* a model, not a baseline */
	char *name;
	char *server_name;
	size_t rows;
	SlScore score;
} Row;

typedef struct Comparison
{
	SlHtml page;
	int models;
	SlReported **reported;
	SlLearning learning; /* a curve for each model */
	SlUnit unit;
	bool same_target;
	bool same_rows;
	Jsonb *reference; /* or NULL */
	bool measured;	  /* some of its scores are of another measure, ours by it given */
	int rows;
	Row row[MAX_MODELS * SL_PREDICTORS];
} Comparison;

/* ---- reading ---- */

static void
add_row(Comparison *c, const Row *row)
{
	for (int i = 0; i < c->rows; i++)
		if (!row->own && !c->row[i].own && strcmp(row->name, c->row[i].name) == 0 &&
			row->rows == c->row[i].rows &&
			memcmp(&row->score, &c->row[i].score, sizeof(SlScore)) == 0)
			return;
	c->row[c->rows++] = *row;
}

/* A model's curve in the common drawing; one of several networks has no single one. */
static void
add_curve(Comparison *c, SlReported *reported)
{
	SlLearning *learning = sl_read_learning(reported);

	if (learning->curves != 1)
		return;
	learning->curve[0].name = reported->model;
	c->learning.curve[c->learning.curves++] = learning->curve[0];
}

static void
read_model(Comparison *c, const char *model, const char *source)
{
	SlReported *reported = sl_read_version(model, 0);
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen comparison", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	SlPredictions *p;

	add_curve(c, reported);
	c->reported[c->models++] = reported;
	old = MemoryContextSwitchTo(context);
	p = sl_read_predictions(reported, source, "test");
	MemoryContextSwitchTo(old);
	for (int i = 0; i < SL_PREDICTORS; i++)
	{
		Row row = {.own = i == SL_BY_MODEL, .rows = p->rows};

		CHECK_FOR_INTERRUPTS();
		row.name = row.own ? reported->model : pstrdup(sl_predictor_name(i));
		row.server_name = row.own ? reported->name : row.name;
		memset(&row.score, 0, sizeof(row.score)); /* padding is compared */
		sl_score_rows(p->row, p->rows, SL_ALL_CLUSTERS, i, p->scratch, &row.score);
		add_row(c, &row);
	}
	MemoryContextDelete(context);
}

static int
by_error(const void *a, const void *b)
{
	double x = ((const Row *) a)->score.mae;
	double y = ((const Row *) b)->score.mae;

	if (isnan(x) || isnan(y))
		return isnan(x) - isnan(y);
	return (x > y) - (x < y);
}

static void
read_models(Comparison *c, ArrayType *models, const char *source)
{
	Datum *names;
	bool *nulls;
	int count;

	deconstruct_array(models, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &count);
	if (count == 0 || count > MAX_MODELS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("models must name between 1 and %d models", MAX_MODELS)));
	c->reported = palloc0(sizeof(SlReported *) * count);
	c->learning.curve = palloc0(sizeof(SlCurve) * count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("models must not contain nulls")));
		read_model(c, TextDatumGetCString(names[i]), source);
	}
	c->same_target = c->same_rows = true;
	for (int i = 1; i < count; i++)
		c->same_target &= strcmp(c->reported[i]->target, c->reported[0]->target) == 0;
	for (int i = 1; i < c->rows; i++)
		c->same_rows &= c->row[i].rows == c->row[0].rows;
	/* equal rows also have equal baselines: then each is there once */
	c->same_rows &= c->rows == count + SL_PREDICTORS - 1;
	c->unit = c->same_target ? c->reported[0]->unit : SL_PLAIN;
	qsort(c->row, c->rows, sizeof(Row), by_error);
}

/* ---- references ---- */

/*
 * A predictor's reference is a score, an array of them, or an object: score, measured
 * (ours where the score is of another measure), note.
 */
static void
wrong_reference(const Row *row)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("reference \"%s\" must be a number, an array of numbers or an object",
					row->server_name),
			 errhint("An object has score, a number or an array of numbers, and may have "
					 "measured, a number, and note, a text.")));
}

static JsonbContainer *
container_of(const JsonbValue *value, bool object)
{
	if (value == NULL || value->type != jbvBinary ||
		(object ? !JsonContainerIsObject(value->val.binary.data)
				: !JsonContainerIsArray(value->val.binary.data)))
		return NULL;
	return value->val.binary.data;
}

/* A field of a predictor's reference; of one that is no object only the score is there.
 */
static JsonbValue *
reference_field(const Comparison *c, const Row *row, const char *field)
{
	JsonbValue *value =
		c->reference ? sl_json_get(&c->reference->root, row->server_name) : NULL;
	JsonbContainer *object = container_of(value, true);

	if (object)
		return sl_json_get(object, field);
	return strcmp(field, "score") == 0 ? value : NULL;
}

static void
append_score(StringInfo out, const Row *row, const JsonbValue *value)
{
	if (value->type != jbvNumeric)
		wrong_reference(row);
	appendStringInfo(out, "%s%.3f", out->len ? ", " : "", sl_json_number(value));
}

/* Numbers as a cell shows them; "" where there are none. */
static char *
scores_text(const Row *row, const JsonbValue *value)
{
	JsonbContainer *array = container_of(value, false);
	StringInfoData out;

	initStringInfo(&out);
	if (array)
		for (uint32 i = 0; i < JsonContainerSize(array); i++)
			append_score(&out, row, getIthJsonbValueFromContainer(array, i));
	else if (value)
		append_score(&out, row, value);
	return out.data;
}

static void
cells_of_reference(Comparison *c, const Row *row)
{
	sl_html_cell_digits(&c->page, scores_text(row, reference_field(c, row, "score")));
	if (!c->measured)
		return;
	sl_html_cell_digits(&c->page, scores_text(row, reference_field(c, row, "measured")));
}

static void
notes_of_references(Comparison *c)
{
	sl_html_paragraph(
		&c->page, "note",
		c->measured
			? "Reference: scores reported elsewhere, as given with the call. By its "
			  "measure: the score here, measured as the reference was where that is no "
			  "normalized MAE."
			: "Reference: normalized MAE reported elsewhere, as given with the call.");
	for (int i = 0; i < c->rows; i++)
	{
		JsonbValue *note = reference_field(c, &c->row[i], "note");

		if (note == NULL)
			continue;
		if (note->type != jbvString)
			wrong_reference(&c->row[i]);
		sl_html_paragraph(
			&c->page, "note",
			psprintf("%s: %s", c->row[i].name, sl_utf8(sl_json_cstring(note))));
	}
}

/* ---- writing ---- */

static void
section_errors(Comparison *c)
{
	static const char *const heads[] = {"predictor",  "#rows",			"#MAE",
										"#RMSE",	  "#median AE",		"#normalized MAE",
										"#reference", "#by its measure"};
	SlHtml *page = &c->page;
	double most = 0;
	int decimals;

	for (int i = 0; i < c->rows; i++)
	{
		most = fmax(most, c->row[i].score.mae);
		c->measured |= reference_field(c, &c->row[i], "measured") != NULL;
	}
	decimals = sl_decimals(most);
	sl_html_section(page, "errors", "Errors beside the baselines");
	sl_html_table(page, psprintf("Errors of %s%s on held-out rows, the smallest first",
								 c->same_target ? c->reported[0]->target
												: "each model\u2019s target",
								 sl_unit_suffix(c->unit)));
	sl_html_heads(page, 6 + (c->reference != NULL) + c->measured, heads);
	for (int i = 0; i < c->rows; i++)
	{
		const Row *row = &c->row[i];

		if (row->own)
			sl_html_row_head_own(page, row->name);
		else
			sl_html_row_head(page, row->name);
		sl_html_cell_count(page, (long long) row->rows);
		sl_html_cell_bar(page, row->score.mae, decimals, most);
		sl_html_cell_fixed(page, row->score.rmse, decimals);
		sl_html_cell_fixed(page, row->score.median_ae, decimals);
		sl_html_cell_fixed(page, row->score.normalized_mae, 3);
		if (c->reference)
			cells_of_reference(c, row);
		sl_html_row_end(page);
	}
	sl_html_table_end(page);
	if (!c->same_target || !c->same_rows)
		sl_html_paragraph(
			page, NULL,
			"The models were not measured on the same rows of the same target, so "
			"only the normalized MAE compares them.");
	sl_html_paragraph(
		page, "note",
		"Normalized MAE is the error divided by that of each user\u2019s mean on the "
		"same rows: below 1 is better than it.");
	if (c->reference)
		notes_of_references(c);
	sl_html_section_end(page);
}

static void
section_learning(Comparison *c)
{
	static const char *const heads[] = {"model", "#epoch", "#validation MAE"};
	SlHtml *page = &c->page;

	if (c->learning.curves < 2 || !c->same_target || !sl_has_validation(&c->learning))
		return;
	sl_html_section(page, "learning", "How they learned");
	sl_html_figure(page);
	sl_plot_learning(&page->out, "sl-validation", &c->learning, SL_PANEL_SECOND);
	sl_html_figure_end(
		page, psprintf("Mean absolute error of %s on the validation rows, by epoch.",
					   c->reported[0]->target));
	sl_html_details(page, "Table of the epochs drawn");
	sl_html_table(
		page, psprintf("Validation MAE%s by model and epoch", sl_unit_suffix(c->unit)));
	sl_html_heads(page, lengthof(heads), heads);
	for (int m = 0; m < c->learning.curves; m++)
		for (int i = 0; i < c->learning.curve[m].n; i++)
		{
			sl_html_row_head(page, c->learning.curve[m].name);
			sl_html_cell_count(page, (long long) c->learning.curve[m].epoch[i]);
			sl_html_cell_number(page, c->learning.curve[m].mae[i]);
			sl_html_row_end(page);
		}
	sl_html_table_end(page);
	sl_html_details_end(page);
	sl_html_section_end(page);
}

static void
section_models(Comparison *c)
{
	static const char *const heads[] = {"model",	   "#version",		 "architecture",
										"hidden size", "#training rows", "#epochs",
										"#seconds",	   "source"};
	SlHtml *page = &c->page;

	sl_html_section(page, "models", "The models");
	sl_html_table(page, "What was trained");
	sl_html_heads(page, lengthof(heads), heads);
	for (int i = 0; i < c->models; i++)
	{
		char **texts = sl_page_texts(
			"SELECT options ->> 'architecture',"
			" pg_catalog.translate(options ->> 'hidden_dim', '[]', ''), training_rows::text,"
			" epochs::text, seconds::text FROM sessionlen.model_versions"
			" WHERE model = $1 AND version = $2",
			c->reported[i]);

		sl_html_row_head(page, c->reported[i]->model);
		sl_html_cell_count(page, c->reported[i]->version);
		sl_html_cell(page, texts[0] ? texts[0] : "");
		sl_html_cell(page, texts[1] ? texts[1] : "");
		sl_html_cell_count(page, atoll(texts[2]));
		sl_html_cell_count(page, texts[3] ? atoll(texts[3]) : 0);
		sl_html_cell_fixed(page, texts[4] ? atof(texts[4]) : NAN, 1);
		sl_html_cell(page, c->reported[i]->source);
		sl_html_row_end(page);
	}
	sl_html_table_end(page);
	sl_html_section_end(page);
}

static void
open_page(Comparison *c)
{
	static const char *const ids[] = {"errors", "models", "learning"};
	static const char *const headings[] = {"Errors", "Models", "Learning"};
	bool curves =
		c->learning.curves >= 2 && c->same_target && sl_has_validation(&c->learning);

	sl_html_open(&c->page, psprintf("%d models compared", c->models),
				 c->same_target ? psprintf("All predict %s.", c->reported[0]->target)
								: "They predict different targets.");
	sl_html_contents(&c->page, curves ? 3 : 2, ids, headings);
	c->learning.target = c->reported[0]->target;
	c->learning.unit = c->unit;
	c->learning.loss = "";
}

Datum
sl_report_models(PG_FUNCTION_ARGS)
{
	StringInfoData html;
	Comparison *c = palloc0(sizeof(Comparison));

	c->page.out = sl_markup_to(&html);
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("models must not be null")));
	c->reference = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	if (c->reference && !JB_ROOT_IS_OBJECT(c->reference))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reference must be a JSON object of scores by predictor"),
				 errhint("For instance: {\"my_model\": 0.87, \"user mean\": 1}.")));
	initStringInfo(&html); /* in the caller's context, before SPI has its own */
	SPI_connect();
	read_models(c, PG_GETARG_ARRAYTYPE_P(0),
				PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)));
	open_page(c);
	section_errors(c);
	section_models(c);
	section_learning(c);
	sl_page_close(&c->page);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(html.data, html.len));
}
