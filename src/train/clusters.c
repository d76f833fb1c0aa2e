/*
 * clusters.c: a network for each cluster of a stored clustering.
 *
 * Labels are copied into the version, so that fitting the clusters again, or dropping
 * them, changes nothing for a model that was trained.  Users without a label, and those
 * of clusters too small to train on, are served by the network of all users.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "store/json.h"
#include "store/query.h"
#include "train/side.h"

#define MAX_CLUSTERS 65536 /* labels are rows that their owner may change */

int
sl_training_users(const SlRows *rows, const bool *keep)
{
	int users = 0;

	for (int s = 0; s < rows->sequences; s++)
		for (int i = rows->start[s]; i < rows->start[s + 1] && (keep == NULL || keep[s]);
			 i++)
			if (rows->part[i] == SL_TRAIN && sl_row_counts(rows, i))
			{
				users++;
				break;
			}
	return users;
}

static void
read_labels(const char *name, const SlRows *rows, SlClusters *clusters)
{
	Datum arg = CStringGetTextDatum(name);
	bool isnull;

	sl_query_read("SELECT key, cluster FROM sessionlen.cluster_labels WHERE name = $1", 1,
				  (Oid[]){TEXTOID}, &arg);
	if (SPI_processed == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("clustering \"%s\" does not exist", name),
						errhint("Make it with sessionlen.cluster(), or see the table "
								"sessionlen.clusterings.")));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char *key = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		Datum label =
			SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull);
		int code = key == NULL ? 0 : sl_vocabulary_code(rows->keys, key);

		if (!isnull && DatumGetInt32(label) >= MAX_CLUSTERS)
			sl_damaged(psprintf("clustering \"%s\" has a cluster %d", name,
								DatumGetInt32(label)));
		if (code > 0 && !isnull && DatumGetInt32(label) >= 0)
		{
			clusters->cluster[code - 1] = DatumGetInt32(label);
			clusters->count = Max(clusters->count, DatumGetInt32(label) + 1);
		}
		if (key != NULL)
			pfree(key);
	}
	SPI_freetuptable(SPI_tuptable);
	if (clusters->count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no partition key of the source is in clustering \"%s\"", name),
				 errhint("Its keys must be the values of partition_by.")));
}

/* The options given for one cluster, NULL if there are none. */
static Jsonb *
cluster_options(const SlOptions *options, int cluster)
{
	JsonbValue *own;

	if (options->by_cluster == NULL)
		return NULL;
	own = sl_json_get(&options->by_cluster->root, psprintf("%d", cluster));
	if (own == NULL)
		return NULL;
	if (own->type != jbvBinary || !JsonContainerIsObject(own->val.binary.data))
		sl_option_wrong_type(psprintf("by_cluster.%d", cluster), "an object", own);
	return JsonbValueToJsonb(own);
}

/* Keys of by_cluster that name no cluster would be ignored silently, and mistakes in the
 * options of the last cluster should not cost the others' time. */
static void
check_by_cluster(const SlOptions *options, Jsonb *given, int clusters)
{
	JsonbIterator *it = JsonbIteratorInit(&options->by_cluster->root);
	JsonbValue key;

	JsonbIteratorNext(&it, &key, true);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		char *name = sl_json_cstring(&key);
		char *end;
		long number = strtol(name, &end, 10);
		SlOptions own;

		if (*name == '\0' || *end != '\0' || number < 0 || number >= clusters)
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"by_cluster\" names \"%s\", which is no cluster", name),
				 errhint("Clusters are numbered from 0 to %d.", clusters - 1)));
		sl_options_read(&own, options->task, given,
						cluster_options(options, (int) number));
		if ((own.sequence_length > 1) != (options->sequence_length > 1))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("cluster %ld can't have a sequence_length of %d",
								   number, own.sequence_length),
							errhint("Either all networks carry a state or none does.")));
		if (!sl_options_same_sequences(&own, options))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("cluster %ld can't have sequences of its own", number),
					 errdetail("All networks share one horizon and, with a horizon, one "
							   "sequence_length.")));
		JsonbIteratorNext(&it, &key, true); /* past the value */
	}
}

SlClusters *
sl_clusters_read(const SlTrainCall *call, const SlRows *rows, const SlOptions *options,
				 Jsonb *given)
{
	SlClusters *clusters = palloc0(sizeof(SlClusters));

	clusters->cluster = MemoryContextAllocHuge(CurrentMemoryContext,
											   sizeof(int) * (Size) rows->sequences);
	for (int s = 0; s < rows->sequences; s++)
		clusters->cluster[s] = SL_NO_CLUSTER;
	read_labels(call->clusters, rows, clusters);
	if (options->by_cluster != NULL)
		check_by_cluster(options, given, clusters->count);
	return clusters;
}

static const SlModel *
base_network(const SlModel *base, int cluster)
{
	for (int i = 0; base && i < base->clusters; i++)
		if (base->network[i]->cluster == cluster)
			return base->network[i];
	return NULL;
}

/* One cluster's training, in memory of its own; run is found first. */
typedef struct Network
{
	SlRun run;
	SlOptions options;
	MemoryContext context;
	int sequences;
	char **keys;
} Network;

/* The network of the sequences with keep[s], ready to be trained. */
static Network *
prepare_network(const SlRun *whole, Jsonb *given, int cluster, const bool *keep,
				const SlModel *base, Size limit)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen cluster", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	const SlTrainCall *call = whole->call;
	SlRows *rows = sl_rows_subset(whole->source->rows, call->count, keep);
	Jsonb *own = cluster_options(whole->options, cluster);
	Network *network = palloc0(sizeof(Network));

	network->context = context;
	network->sequences = rows->sequences;
	network->keys =
		palloc_extended(sizeof(char *) * (Size) rows->sequences, MCXT_ALLOC_HUGE);
	for (int s = 0; s < rows->sequences; s++)
		network->keys[s] = unconstify(char *, sl_vocabulary_text(rows->keys, s + 1));
	sl_options_read(&network->options, call->task, given, own);
	if (whole->source->items)
		sl_options_for_items(&network->options, whole->source->items->count);
	sl_options_for_size(&network->options, given, own, sl_training_users(rows, NULL));
	network->run = (SlRun){
		.call = call,
		.options = &network->options,
		.source = whole->source,
		.prepared = sl_prepare(call, whole->source, rows, &network->options, base, limit),
		.version = whole->version,
		.cluster = cluster,
		.base = base,
		.label = psprintf("cluster %d, ", cluster)};
	sl_rows_free_columns(rows, call->count);
	sl_run_define(&network->run);
	MemoryContextSwitchTo(old);
	return network;
}

/* Trains those of side, and notes who they are for.  One time limit is for all networks
 * of the version. */
static void
train_networks(SlRun *whole, SlSide *side)
{
	double limit = whole->options->time_limit;
	int count =
		sl_side_train(side, limit > 0 ? Max(limit - whole->result.seconds, 1e-6) : 0);

	for (int i = 0; i < count; i++)
	{
		Network *network = (Network *) side->run[i];

		sl_store_members(whole->call->model, whole->version, network->run.cluster,
						 network->sequences, network->keys);
		whole->result.rows += network->run.result.rows;
		MemoryContextDelete(network->context);
	}
	whole->result.seconds += side->seconds;
	whole->result.out_of_time |= side->out_of_time;
}

/* For reports; the labels themselves are copied. */
static void
store_name(const SlRun *whole)
{
	Oid types[] = {TEXTOID, INT4OID, TEXTOID};
	Datum args[] = {CStringGetTextDatum(whole->call->model),
					Int32GetDatum(whole->version),
					CStringGetTextDatum(whole->call->clusters)};

	sl_query("UPDATE sessionlen.model_versions SET clusters = $3"
			 " WHERE model = $1 AND version = $2",
			 lengthof(types), types, args, NULL);
}

/* How many training users each cluster has, and how many have enough for a network. */
static int *
count_users(const SlRun *whole, const SlClusters *clusters, bool *keep, int *networks)
{
	const SlRows *rows = whole->source->rows;
	int *users = palloc(sizeof(int) * clusters->count);

	*networks = 0;
	for (int c = 0; c < clusters->count; c++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int s = 0; s < rows->sequences; s++)
			keep[s] = clusters->cluster[s] == c;
		users[c] = sl_training_users(rows, keep);
		*networks += users[c] >= whole->options->min_users;
	}
	return users;
}

static void
tell_cluster(const SlRun *whole, int cluster, int users, int sequences)
{
	if (!whole->options->verbose)
		return;
	if (users >= whole->options->min_users)
		ereport(NOTICE, (errmsg("cluster %d: %d users", cluster, sequences)));
	else
		ereport(NOTICE, (errmsg("cluster %d: %d users with training rows, fewer than "
								"min_users; the network of all users serves them",
								cluster, users)));
}

void
sl_train_clusters(SlRun *whole, const SlClusters *clusters, Jsonb *given,
				  const SlModel *base, Size limit)
{
	const SlRows *rows = whole->source->rows;
	bool *keep = palloc_extended(sizeof(bool) * (Size) rows->sequences, MCXT_ALLOC_HUGE);
	int networks;
	int *users = count_users(whole, clusters, keep, &networks);
	SlSide *side = sl_side_begin(whole, networks, limit);

	store_name(whole);
	for (int c = 0; c < clusters->count; c++)
	{
		const SlModel *own_base = base_network(base, c);
		Network *network;
		int sequences = 0;

		if (side->count == side->room)
			train_networks(whole, side);
		for (int s = 0; s < rows->sequences; s++)
			sequences += keep[s] = clusters->cluster[s] == c;
		tell_cluster(whole, c, users[c], sequences);
		if (users[c] < whole->options->min_users)
			continue;
		network = prepare_network(whole, given, c, keep, own_base, limit);
		if (sl_side_add(side, &network->run))
			continue;
		/* beside those there are no room, for its set either */
		MemoryContextDelete(network->context);
		train_networks(whole, side);
		network = prepare_network(whole, given, c, keep, own_base, limit);
		(void) sl_side_add(side, &network->run);
	}
	if (side->count > 0)
		train_networks(whole, side);
}
