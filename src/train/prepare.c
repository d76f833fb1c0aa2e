#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "train/prepare.h"

static void *
huge(Size count, Size width)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, Max(count, 1) * width,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

static int
by_value(const void *a, const void *b)
{
	float x = *(const float *) a;
	float y = *(const float *) b;

	return (x > y) - (x < y);
}

/* Quantile q of n sorted values, interpolated like percentile_cont. */
static double
sorted_quantile(const float *value, int n, double q)
{
	double at = q * (n - 1);
	int low = (int) floor(at);
	int high = Min(low + 1, n - 1);

	return value[low] + (at - low) * ((double) value[high] - value[low]);
}

/* ---- weights and target ---- */

/* Rows that train: known target, training part, not above the percentile. */
static void
set_weights(SlPrepared *p, const SlRows *rows, double upper_percentile)
{
	float *train = huge(rows->rows, sizeof(float));
	float *validation = huge(rows->rows, sizeof(float));
	float *sorted = huge(rows->rows, sizeof(float));
	float limit = INFINITY;
	int n = 0;

	for (int i = 0; i < rows->rows; i++)
	{
		if (isnan(rows->y[i]))
			continue;
		p->part_rows[rows->part[i]]++;
		if (rows->part[i] == SL_TRAIN)
			sorted[n++] = rows->y[i];
		else if (rows->part[i] == SL_VALIDATION)
			validation[i] = 1;
	}
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND), errmsg("no row is left to train on"),
				 errdetail("%d rows were read; none with a known target is in the "
						   "training part.",
						   rows->rows)));
	if (upper_percentile < 100)
	{
		qsort(sorted, n, sizeof(float), by_value);
		limit = (float) sorted_quantile(sorted, n, upper_percentile / 100);
	}
	for (int i = 0; i < rows->rows; i++)
		train[i] = rows->part[i] == SL_TRAIN && rows->y[i] <= limit;
	pfree(sorted);
	p->set.train_weight = train;
	p->set.validation_weight = validation;
}

/* Logarithms and lengths are of values from 0 up. */
static void
check_target(const SlRows *rows, const SlOptions *options)
{
	if (options->target_transform != SL_TARGET_LOG1P && !sl_loss_is_scaled(options->loss))
		return;
	for (int i = 0; i < rows->rows; i++)
		if (rows->y[i] < 0)
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("target holds values below 0"),
				 errdetail("One is %g.", rows->y[i]),
				 errhint("target_transform log1p and the losses mape and weibull take "
						 "only values from 0 up.")));
}

/* Mean and deviation of f(y) over training rows. */
static void
fit_target(SlPrepared *p, const SlRows *rows, const SlOptions *options)
{
	SlTarget *target = &p->set.target;
	bool scaled = sl_loss_is_scaled(options->loss);
	double mean = 0;
	double m2 = 0;
	int64 n = 0;

	*target = (SlTarget){options->target_transform == SL_TARGET_LOG1P, scaled, 0, 1};
	for (int i = 0; i < rows->rows; i++)
	{
		double y = rows->y[i];
		double step;

		if (!(p->set.train_weight[i] > 0))
			continue;
		y = sl_target_forward(&(SlTarget){target->log1p, scaled, 0, 1}, y);
		step = y - mean;
		mean += step / ++n;
		m2 += step * (y - mean);
	}
	if (options->target_transform != SL_TARGET_NONE)
	{
		target->mean = mean;
		target->scale = m2 / n > 1e-24 * mean * mean && m2 > 0 ? sqrt(m2 / n) : 1;
	}
	else if (scaled)
		target->scale = mean; /* both losses only see y in units of its mean */
}

static void
scale_target(SlPrepared *p, const SlRows *rows)
{
	float *scaled = huge(rows->rows, sizeof(float));
	float *sorted = huge(rows->rows, sizeof(float));
	int n = 0;

	for (int i = 0; i < rows->rows; i++)
	{
		scaled[i] =
			isnan(rows->y[i]) ? 0 : (float) sl_target_forward(&p->set.target, rows->y[i]);
		if (p->set.train_weight[i] > 0)
			sorted[n++] = scaled[i];
	}
	qsort(sorted, n, sizeof(float), by_value);
	p->start_value = sorted_quantile(sorted, n, 0.5);
	pfree(sorted);
	p->set.y = scaled;
}

/* Mean and median of the raw target over training rows, by key and over all. */
static void
fit_baselines(SlTrainSource *p, const SlRows *rows)
{
	float *value = huge(rows->rows, sizeof(float));
	float *all = huge(rows->rows, sizeof(float));
	double all_sum = 0;
	int all_count = 0;

	p->keys = huge(rows->sequences, sizeof(char *));
	p->key_rows = huge(rows->sequences, sizeof(int64));
	p->key_mean = huge(rows->sequences, sizeof(double));
	p->key_median = huge(rows->sequences, sizeof(double));
	for (int s = 0; s < rows->sequences; s++)
	{
		int k = p->keys_with_rows;
		double sum = 0;
		int n = 0;

		for (int i = rows->start[s]; i < rows->start[s + 1]; i++)
			if (rows->part[i] == SL_TRAIN && !isnan(rows->y[i]) && !rows->censored[i])
			{
				value[n++] = all[all_count++] = rows->y[i];
				sum += rows->y[i];
			}
		if (n == 0)
			continue;
		qsort(value, n, sizeof(float), by_value);
		p->keys[k] = unconstify(char *, sl_vocabulary_text(rows->keys, s + 1));
		p->key_rows[k] = n;
		p->key_mean[k] = sum / n;
		p->key_median[k] = sorted_quantile(value, n, 0.5);
		p->keys_with_rows++;
		all_sum += sum;
	}
	if (all_count > 0)
	{
		qsort(all, all_count, sizeof(float), by_value);
		p->all_rows = all_count;
		p->all_mean = all_sum / all_count;
		p->all_median = sorted_quantile(all, all_count, 0.5);
	}
	pfree(value);
	pfree(all);
}

/* ---- inputs ---- */

/* Rows whose values fit the preparation. */
static bool *
training_rows(const SlRows *rows)
{
	bool *use = huge(rows->rows, sizeof(bool));

	for (int i = 0; i < rows->rows; i++)
		use[i] = rows->part[i] == SL_TRAIN;
	return use;
}

static void
fit_texts(SlInputs *inputs, SlRows *rows, int min_count)
{
	bool *use = training_rows(rows);

	for (int c = 0; c < inputs->count; c++)
	{
		CHECK_FOR_INTERRUPTS();
		if (sl_input_has_vocabulary(&inputs->input[c]))
			sl_input_fit_text(&inputs->input[c], rows->column[c], use, rows->rows,
							  min_count);
	}
	pfree(use);
}

/* A network's own inputs: the source's vocabularies, numbers fitted on these rows. */
static SlInputs *
fit_inputs(const SlTrainCall *call, const SlTrainSource *source, const SlRows *rows,
		   const SlOptions *options)
{
	SlInputs *inputs =
		sl_inputs_choose(call->count, call->names, call->roles, source->readers,
						 options->columns, options->standardize);
	bool *use = training_rows(rows);

	for (int c = 0; c < inputs->count; c++)
	{
		SlInput *input = &inputs->input[c];

		CHECK_FOR_INTERRUPTS();
		if (sl_input_has_vocabulary(input))
		{
			*input = source->inputs->input[c];
			continue;
		}
		sl_input_fit_number(input, rows->column[c], use, rows->rows);
		if (input->prep == SL_PREP_STANDARDIZE || input->prep == SL_PREP_MIN_MAX)
			input->mean += isnan(rows->base[c]) ? 0 : rows->base[c];
	}
	pfree(use);
	sl_inputs_lay_out(inputs);
	return inputs;
}

/* Columns become features. */
static void
make_features(SlPrepared *p, SlRows *rows)
{
	SlInputs *inputs = p->inputs;
	SlCellValue *cell = palloc(sizeof(SlCellValue) * Max(inputs->count, 1));
	int32 row_code[SL_MAX_EMBEDDINGS];
	float *x = huge((Size) rows->rows * inputs->width, sizeof(float));
	int32 **code = palloc0(sizeof(int32 *) * SL_MAX_EMBEDDINGS);

	for (int e = 0; e < inputs->embeddings; e++)
		code[e] = huge(rows->rows, sizeof(int32));
	for (int i = 0; i < rows->rows; i++)
	{
		if ((i & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
		for (int c = 0; c < inputs->count; c++)
			if (sl_input_has_vocabulary(&inputs->input[c]))
				cell[c].code = ((int32 *) rows->column[c])[i];
			else
				cell[c].number = ((float *) rows->column[c])[i] +
								 (isnan(rows->base[c]) ? 0 : rows->base[c]);
		sl_inputs_apply(inputs, cell, x + (Size) i * inputs->width, row_code);
		for (int e = 0; e < inputs->embeddings; e++)
			code[e][i] = row_code[e];
	}
	p->set.x = x;
	p->set.code = (const int32_t *const *) code;
	p->set.inputs = inputs->width;
}

/* The kept inputs must be the base version's, in its order. */
static SlInputs *
base_inputs(const SlModel *base, const SlTrainCall *call, const SlOptions *options)
{
	bool same = base->inputs->count == call->count;

	for (int i = 0; same && i < call->count; i++)
		same = strcmp(base->inputs->input[i].name, call->names[i]) == 0 &&
			   base->inputs->input[i].role == call->roles[i];
	if (!same)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("warm_start needs the input columns of version %d",
							   base->version),
						errhint("Name the same columns in the same roles and order.")));
	if (!sl_options_same_target(&base->options, options))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("warm_start needs the target_transform of version %d", base->version),
			 errdetail("It is %s, with the loss %s.",
					   sl_target_transform_name(base->options.target_transform),
					   sl_loss_name(base->options.loss)),
			 errhint("Give the same one; mape and weibull can't follow other losses.")));
	return base->inputs;
}

SlTrainSource *
sl_source_read(const SlTrainCall *call, const SlOptions *options, const SlModel *base,
			   Size limit)
{
	SlTrainSource *source = palloc0(sizeof(SlTrainSource));
	SlRequest request = {.source = call->source,
						 .partition_by = call->partition_by,
						 .order_by = call->order_by,
						 .target = call->target,
						 .censored = call->censored,
						 .split = &source->split,
						 .count = call->count,
						 .names = call->names};
	SlSplit *split = &source->split;
	SlCursor *cursor;

	*split = options->split;
	if (split->by == SL_SPLIT_TIME && split->test_from == NULL &&
		split->validation_from == NULL)
		sl_split_find_cuts(split, call->source, call->order_by);
	cursor = sl_cursor_open(&request, false);
	source->readers = cursor->reader + SL_COLUMNS;
	source->inputs =
		base ? base_inputs(base, call, options)
			 : sl_inputs_choose(call->count, call->names, call->roles, source->readers,
								options->columns, options->standardize);
	source->rows = sl_rows_read(cursor, source->inputs, split, base == NULL, limit);
	sl_cursor_close(cursor);
	check_target(source->rows, options);
	if (base == NULL)
		fit_texts(source->inputs, source->rows, options->min_count);
	fit_baselines(source, source->rows);
	return source;
}

SlPrepared *
sl_prepare(const SlTrainCall *call, const SlTrainSource *source, SlRows *rows,
		   const SlOptions *options, const SlModel *base, Size limit)
{
	SlPrepared *p = palloc0(sizeof(SlPrepared));

	set_weights(p, rows, options->upper_percentile);
	if (base == NULL)
	{
		p->inputs = fit_inputs(call, source, rows, options);
		fit_target(p, rows, options);
	}
	else
	{
		p->inputs = base->inputs;
		p->set.target = base->scale;
	}
	p->bytes = (Size) rows->rows *
			   (sizeof(float) * (p->inputs->width + p->inputs->embeddings + 5) +
				2 * sizeof(uint8));
	if (p->bytes > limit)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("the features of %d rows need %zu MB, more than "
						"sessionlen.memory_limit",
						rows->rows, p->bytes >> 20),
				 errhint("Raise sessionlen.memory_limit, or use fewer or smaller columns "
						 "(one_hot is wide).")));
	make_features(p, rows);
	scale_target(p, rows);
	if (call->clusters)
		p->bytes += sizeof(float) * (Size) source->rows->rows * call->count;
	p->set.rows = rows->rows;
	p->set.sequences = rows->sequences;
	p->set.start = rows->start;
	p->set.time_order = rows->time_order;
	p->set.censored = call->censored ? rows->censored : NULL;
	return p;
}
