/*
 * load.c: reading versions back.  Whoever owns a model may change its rows, so nothing
 * here is taken on trust: sizes, types, NULLs and NaN are checked before a weight is
 * used.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "sessionlen.h"
#include "store/json.h"
#include "store/query.h"
#include "store/store.h"

void
sl_store_lookup(const char *model, int *version, pg_uuid_t *id)
{
	static SPIPlanPtr plan = NULL;
	Datum args[] = {CStringGetTextDatum(model), Int32GetDatum(*version)};
	MemoryContext context = CurrentMemoryContext;
	int pinned = sl_pin_search_path();
	bool isnull;
	Datum value;

	if (plan == NULL)
	{
		plan = SPI_prepare(
			"SELECT v.version, v.id FROM sessionlen.models m LEFT JOIN "
			"sessionlen.model_versions v ON v.model = m.model AND v.version = "
			"CASE WHEN $2 = 0 THEN m.deployed ELSE $2 END WHERE m.model = $1",
			2, (Oid[]){TEXTOID, INT4OID});
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare the look-up of a model");
	}
	if (SPI_execute_plan(plan, args, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up a model");
	sl_unpin_search_path(pinned);
	MemoryContextSwitchTo(context); /* SPI leaves its own as the current one */
	if (SPI_processed == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("model \"%s\" does not exist", model),
						errdetail("Models of other roles are visible only once granted."),
						errhint("Train it with sessionlen.train(), or see the table "
								"sessionlen.models.")));
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
	{
		if (*version == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("no version of model \"%s\" serves", model),
					 errhint("Choose one with sessionlen.deploy(model, version).")));
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("model \"%s\" has no version %d", model, *version),
						errhint("See the table sessionlen.model_versions.")));
	}
	*version = DatumGetInt32(value);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
	memcpy(id, DatumGetUUIDP(value), sizeof(*id));
}

/* Column of the current result's first row; NULL is damage. */
static Datum
column(int number)
{
	bool isnull;
	Datum value =
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number, &isnull);

	if (isnull)
		sl_damaged(psprintf("\"%s\" is null", SPI_fname(SPI_tuptable->tupdesc, number)));
	return value;
}

static Jsonb *
object_column(int number)
{
	Jsonb *json = DatumGetJsonbPCopy(column(number));

	if (!JB_ROOT_IS_OBJECT(json))
		sl_damaged(psprintf("\"%s\" is not an object",
							SPI_fname(SPI_tuptable->tupdesc, number)));
	return json;
}

static void
load_scale(SlTarget *scale, Jsonb *stored)
{
	scale->log1p = sl_json_bool(&stored->root, "log1p");
	scale->from_one = sl_json_bool(&stored->root, "from_one");
	scale->mean = sl_json_double(&stored->root, "mean");
	scale->scale = sl_json_double(&stored->root, "scale");
	if (!isfinite(scale->mean) || !isfinite(scale->scale) || !(scale->scale > 0))
		sl_damaged("the target's scale is impossible");
}

static SlModelTask
stored_task(const char *name)
{
	int task = 0;

	while (sl_task_name(task) != NULL && strcmp(sl_task_name(task), name) != 0)
		task++;
	if (sl_task_name(task) == NULL)
		sl_damaged(psprintf("there is no task \"%s\"", name));
	return (SlModelTask) task;
}

static void
load_row(SlModel *m)
{
	Datum args[] = {CStringGetTextDatum(m->model), Int32GetDatum(m->version)};

	sl_query_read(
		"SELECT source, target, partition_by, order_by, options, inputs, target_scale, split, "
		"blas, censored, task FROM sessionlen.model_versions WHERE model = $1 AND version = $2",
		2, (Oid[]){TEXTOID, INT4OID}, args);
	if (SPI_processed != 1)
		sl_damaged("its version is gone");
	m->source = TextDatumGetCString(column(1));
	m->target = TextDatumGetCString(column(2));
	m->partition_by = TextDatumGetCString(column(3));
	m->order_by = TextDatumGetCString(column(4));
	sl_options_read(&m->options, stored_task(TextDatumGetCString(column(11))),
					object_column(5), NULL);
	m->inputs = sl_inputs_parse(DatumGetJsonbPCopy(column(6)));
	sl_inputs_check(m->inputs, &m->options);
	load_scale(&m->scale, object_column(7));
	m->split = m->options.split;
	sl_split_read(&m->split, &object_column(8)->root);
	m->blas = TextDatumGetCString(column(9));
	m->censored = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 10);
}

/* Elements of a one-dimensional array without NULLs. */
static void
array_elements(Datum value, Oid type, Datum **elements, int *count)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	int16 length;
	bool by_value;
	char align;

	if (ARR_NDIM(array) > 1 || ARR_HASNULL(array) || ARR_ELEMTYPE(array) != type)
		sl_damaged("an array is not flat or holds NULL");
	get_typlenbyvalalign(type, &length, &by_value, &align);
	deconstruct_array(array, type, length, by_value, align, elements, NULL, count);
}

/* Rows written by hand may make a model of any size. */
static void
check_size(const SlModel *m, MemoryContext context)
{
	if (MemoryContextMemAllocated(context, true) > (Size) sl_memory_limit * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("model \"%s\" needs more than sessionlen.memory_limit", m->model),
				 errhint("Raise sessionlen.memory_limit.")));
}

/* What is read on the way goes with scratch: the model stays in the backend. */
static void
load_vocabularies(SlModel *m)
{
	MemoryContext scratch = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen loading", ALLOCSET_DEFAULT_SIZES);
	MemoryContext context = MemoryContextSwitchTo(scratch);

	for (int i = 0; i < m->inputs->count; i++)
	{
		SlInput *input = &m->inputs->input[i];
		Datum args[] = {CStringGetTextDatum(m->model), Int32GetDatum(m->version),
						CStringGetTextDatum(input->name)};
		Datum *entry;
		int count;

		if (!sl_input_has_vocabulary(input))
			continue;
		sl_query_read(
			"SELECT entries FROM sessionlen.vocabularies WHERE model = $1 AND version = $2 AND "
			"column_name = $3",
			3, (Oid[]){TEXTOID, INT4OID, TEXTOID}, args);
		if (SPI_processed != 1)
			sl_damaged(psprintf("the vocabulary of \"%s\" is missing", input->name));
		array_elements(column(1), TEXTOID, &entry, &count);
		for (int c = 0; c < count; c++)
		{
			CHECK_FOR_INTERRUPTS();
			if (sl_vocabulary_add(input->vocabulary, TextDatumGetCString(entry[c])) !=
				c + 1)
				sl_damaged(
					psprintf("the vocabulary of \"%s\" repeats an entry", input->name));
		}
		SPI_freetuptable(SPI_tuptable);
		MemoryContextReset(scratch);
		check_size(m, context);
	}
	MemoryContextSwitchTo(context);
	MemoryContextDelete(scratch);
}

/* Whether a stored shape is [rows] or [rows, cols]. */
static bool
shape_matches(const ArrayType *shape, const SlParam *param)
{
	const int32 *size = (const int32 *) ARR_DATA_PTR(shape);
	int dims = param->cols > 0 ? 2 : 1;

	return ARR_NDIM(shape) == 1 && !ARR_HASNULL(shape) && ARR_DIMS(shape)[0] == dims &&
		   size[0] == param->rows && (dims == 1 || size[1] == param->cols);
}

/* Copies one chunk to where it belongs, if it fits exactly. */
static void
load_chunk(SlModel *m, HeapTuple tuple, int64 *filled)
{
	TupleDesc desc = SPI_tuptable->tupdesc;
	bool isnull;
	char *name = TextDatumGetCString(SPI_getbinval(tuple, desc, 1, &isnull));
	ArrayType *shape = DatumGetArrayTypeP(SPI_getbinval(tuple, desc, 2, &isnull));
	ArrayType *data = DatumGetArrayTypePCopy(SPI_getbinval(tuple, desc, 3, &isnull));
	int count = ArrayGetNItems(ARR_NDIM(data), ARR_DIMS(data));
	const float *from = (const float *) ARR_DATA_PTR(data);

	for (int p = 0; p < m->net.params.count; p++)
	{
		const SlParam *param = &m->net.params.item[p];
		int64 size = (int64) param->rows * Max(param->cols, 1);

		if (strcmp(param->name, name) != 0)
			continue;
		if (!shape_matches(shape, param))
			sl_damaged(psprintf("weight \"%s\" has the wrong shape", name));
		if (ARR_NDIM(data) != 1 || ARR_HASNULL(data) || ARR_ELEMTYPE(data) != FLOAT4OID ||
			filled[p] + count > size)
			sl_damaged(psprintf("weight \"%s\" has the wrong size or holds NULL", name));
		for (int i = 0; i < count; i++)
			if (!isfinite(from[i]))
				sl_damaged(psprintf("weight \"%s\" holds NaN or infinity", name));
		memcpy(m->value + param->offset + filled[p], from, sizeof(float) * (Size) count);
		filled[p] += count;
		pfree(data); /* as large as the tuple it was read from */
		return;
	}
	sl_damaged(psprintf("there is no weight \"%s\" in this network", name));
}

static void
load_weights(SlModel *m)
{
	Datum args[] = {CStringGetTextDatum(m->model), Int32GetDatum(m->version),
					Int32GetDatum(m->cluster)};
	int64 filled[SL_MAX_PARAMS] = {0};
	MemoryContext context = CurrentMemoryContext;
	Portal portal;
	SPIPlanPtr plan;
	int pinned;

	if (m->net.params.total > (Size) sl_memory_limit * 1024 / sizeof(float))
		ereport(
			ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg(
				 "model \"%s\" has %zu weights, more than sessionlen.memory_limit can hold",
				 m->model, m->net.params.total),
			 errhint("Raise sessionlen.memory_limit.")));
	m->value = MemoryContextAllocExtended(CurrentMemoryContext,
										  sizeof(float) * m->net.params.total,
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	pinned = sl_pin_search_path();
	plan = SPI_prepare(
		"SELECT name, shape, data FROM sessionlen.weights WHERE model = $1 AND version = $2 "
		"AND coalesce(cluster, -1) = $3 ORDER BY name, chunk",
		3, (Oid[]){TEXTOID, INT4OID, INT4OID});
	portal = SPI_cursor_open(NULL, plan, args, NULL, true);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, 4);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++)
			load_chunk(m, SPI_tuptable->vals[i], filled);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	sl_unpin_search_path(pinned);
	MemoryContextSwitchTo(context);
	for (int p = 0; p < m->net.params.count; p++)
	{
		const SlParam *param = &m->net.params.item[p];

		if (filled[p] != (int64) param->rows * Max(param->cols, 1))
			sl_damaged(psprintf("weight \"%s\" is missing or too short", param->name));
	}
}

/* The network that options and inputs describe, and its weights. */
static void
load_network(SlModel *m)
{
	SlVocabulary *items = sl_inputs_items(m->inputs);

	sl_inputs_lay_out(m->inputs);
	sl_loss_from_options(&m->loss, &m->options, items ? sl_vocabulary_count(items) : 0);
	sl_net_from_options(&m->net, &m->options, m->inputs, &m->loss);
	load_weights(m);
}

/* A cluster's network is the model with preprocessing, shape and weights of its own;
 * vocabularies are shared. */
static SlModel *
load_cluster(const SlModel *whole, int cluster)
{
	Datum args[] = {CStringGetTextDatum(whole->model), Int32GetDatum(whole->version),
					Int32GetDatum(cluster)};
	SlModel *m = palloc(sizeof(SlModel));

	*m = *whole;
	m->cluster = cluster;
	m->clusters = 0;
	sl_query_read("SELECT options, inputs, target_scale FROM sessionlen.cluster_networks "
				  "WHERE model = $1 AND version = $2 AND cluster = $3",
				  3, (Oid[]){TEXTOID, INT4OID, INT4OID}, args);
	if (SPI_processed != 1)
		sl_damaged(psprintf("the network of cluster %d is missing", cluster));
	sl_options_read(&m->options, whole->options.task, object_column(1), NULL);
	m->inputs = sl_inputs_parse(DatumGetJsonbPCopy(column(2)));
	sl_inputs_check(m->inputs, &m->options);
	load_scale(&m->scale, object_column(3));
	if (m->inputs->count != whole->inputs->count ||
		(m->options.sequence_length > 1) != (whole->options.sequence_length > 1) ||
		!sl_options_same_sequences(&m->options, &whole->options))
		sl_damaged(psprintf("the network of cluster %d has other inputs", cluster));
	for (int i = 0; i < m->inputs->count; i++)
	{
		const SlInput *input = &whole->inputs->input[i];

		if (strcmp(m->inputs->input[i].name, input->name) != 0 ||
			m->inputs->input[i].role != input->role ||
			sl_input_has_vocabulary(&m->inputs->input[i]) !=
				sl_input_has_vocabulary(input))
			sl_damaged(psprintf("the network of cluster %d has other inputs", cluster));
		m->inputs->input[i].vocabulary = input->vocabulary;
	}
	load_network(m);
	return m;
}

/* Which keys have a network of their own. */
static void
load_members(SlModel *m, int network)
{
	Datum args[] = {CStringGetTextDatum(m->model), Int32GetDatum(m->version),
					Int32GetDatum(m->network[network]->cluster)};
	Datum *key;
	int count;
	int known = sl_vocabulary_count(m->members);

	sl_query_read(
		"SELECT keys FROM sessionlen.network_members WHERE model = $1 AND version = $2 "
		"AND cluster = $3",
		3, (Oid[]){TEXTOID, INT4OID, INT4OID}, args);
	if (SPI_processed != 1)
		sl_damaged("the members of a cluster are missing");
	array_elements(column(1), TEXTOID, &key, &count);
	m->member_network =
		m->member_network == NULL
			? palloc_extended(sizeof(int) * ((Size) known + count + 1), MCXT_ALLOC_HUGE)
			: repalloc_huge(m->member_network, sizeof(int) * ((Size) known + count + 1));
	for (int i = 0; i < count; i++)
	{
		char *copy = TextDatumGetCString(key[i]);
		int code = sl_vocabulary_add(m->members, copy);

		CHECK_FOR_INTERRUPTS();
		pfree(copy); /* the model stays in the backend */
		if (code != ++known)
			sl_damaged("a key is in two clusters");
		m->member_network[code] = network;
	}
}

static void
load_clusters(SlModel *m)
{
	Datum args[] = {CStringGetTextDatum(m->model), Int32GetDatum(m->version)};
	int *cluster;

	sl_query_read("SELECT cluster FROM sessionlen.cluster_networks WHERE model = $1 AND "
				  "version = $2 ORDER BY cluster",
				  2, (Oid[]){TEXTOID, INT4OID}, args);
	m->clusters = (int) SPI_processed;
	if (m->clusters == 0)
		return;
	cluster = palloc(sizeof(int) * m->clusters);
	for (int i = 0; i < m->clusters; i++)
	{
		bool isnull;

		cluster[i] = DatumGetInt32(
			SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	m->network = palloc(sizeof(SlModel *) * m->clusters);
	m->members = sl_vocabulary_create();
	for (int i = 0; i < m->clusters; i++)
	{
		m->network[i] = load_cluster(m, cluster[i]);
		load_members(m, i);
		check_size(m, CurrentMemoryContext);
	}
}

const SlModel *
sl_model_for_key(const SlModel *model, const char *key)
{
	int code = model->clusters > 0 ? sl_vocabulary_code(model->members, key) : 0;

	return code > 0 ? model->network[model->member_network[code]] : model;
}

SlModel *
sl_store_load(const char *model, int version)
{
	SlModel *m = palloc0(sizeof(SlModel));

	m->model = pstrdup(model);
	m->version = version;
	m->cluster = SL_NO_CLUSTER;
	sl_store_lookup(model, &m->version, &m->id);
	load_row(m);
	load_vocabularies(m);
	load_network(m);
	load_clusters(m);
	return m;
}

void
sl_loss_from_options(SlLoss *loss, const SlOptions *options, int items)
{
	memset(loss, 0, sizeof(*loss));
	loss->kind = (SlLossKind) options->loss;
	loss->classes = items;
	loss->levels = options->quantiles;
	for (int i = 0; i < options->quantiles; i++)
		loss->level[i] = (float) options->quantile[i];
}

void
sl_net_from_options(SlNet *net, const SlOptions *options, const SlInputs *inputs,
					const SlLoss *loss)
{
	SlNetSpec spec = {0};

	spec.arch = sl_arch_find(sl_arch_name(options->architecture));
	spec.cell = (SlCell) options->cell;
	spec.bidirectional = options->bidirectional;
	/* all rows that may stand before the one to predict */
	spec.past_steps = options->sequence_length - 1;
	spec.layers = options->layers;
	memcpy(spec.hidden, options->hidden, sizeof(spec.hidden));
	spec.outputs = sl_loss_outputs(loss);
	spec.dropout = (float) options->dropout;
	spec.recurrent_dropout = (float) options->recurrent_dropout;
	sl_inputs_to_spec(inputs, &spec);
	spec.item_features = spec.has_item ? list_length(options->item_features) : 0;
	spec.item_features_trained = options->item_features_trained;
	if (options->task == SL_TASK_NEXT_ITEMS)
	{
		spec.items = loss->classes;
		spec.outputs = spec.hidden[spec.layers - 1];
	}
	if (sl_net_define(net, &spec) != SL_OK)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the network is too large or has no inputs"),
						errdetail("%d numeric features, %d embeddings, %d layers.",
								  spec.inputs, spec.embeddings, spec.layers)));
}

bool
sl_store_load_checkpoint(const char *model, int version, SlTrainState *state, int moments,
						 size_t total)
{
	Datum args[] = {CStringGetTextDatum(model), Int32GetDatum(version)};
	size_t filled = 0;

	sl_query_read(
		"SELECT data, step, mu_product FROM sessionlen.checkpoints WHERE model = $1 AND "
		"version = $2 AND cluster IS NULL ORDER BY moment, chunk",
		2, (Oid[]){TEXTOID, INT4OID}, args);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool isnull;
		ArrayType *data = DatumGetArrayTypeP(
			SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
		size_t count = ArrayGetNItems(ARR_NDIM(data), ARR_DIMS(data));

		if (ARR_HASNULL(data) || filled + count > moments * total)
			sl_damaged("the checkpoint has the wrong size");
		memcpy(state->moments + filled, ARR_DATA_PTR(data), sizeof(float) * count);
		filled += count;
		state->step = DatumGetInt64(
			SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull));
		state->mu_product = DatumGetFloat8(
			SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 3, &isnull));
	}
	if (filled != 0 && filled != moments * total)
		sl_damaged("the checkpoint has the wrong size");
	return filled > 0;
}
