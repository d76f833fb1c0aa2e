/*
 * embed_options_sql.c: one table of the options of word2vec().
 */
#include "postgres.h"

#include "embed/embed_sql.h"
#include "option.h"

static const char *
method_name(int i)
{
	static const char *const names[] = {
		[SL_SKIP_GRAM] = "skip_gram", [SL_CBOW] = "cbow", NULL};

	return names[i];
}

#define AT(field) offsetof(SlEmbedOptions, field)

static const SlOption option_table[] = {
	{"method", OPT_NAME, AT(training.method), .name = method_name},
	{"dim", OPT_INT, AT(training.dim), .min = 1, .max = 4096},
	{"window", OPT_INT, AT(training.window), .min = 1, .max = 100},
	{"negative", OPT_INT, AT(training.negative), .min = 1, .max = 100},
	{"epochs", OPT_INT, AT(training.epochs), .min = 1, .max = 1000000},
	{"learning_rate", OPT_REAL, AT(training.learning_rate), .min = 1e-12, .max = 1000},
	{"subsample", OPT_REAL, AT(training.subsample), .min = 0, .max = 1},
	{"noise_exponent", OPT_REAL, AT(training.noise_exponent), .min = -10, .max = 10},
	{"min_count", OPT_INT, AT(min_count), .min = 1, .max = 1073741824},
	{"seed", OPT_INT64, AT(training.seed), .min = -9007199254740992.0,
	 .max = 9007199254740992.0},
	{"time_limit", OPT_REAL, AT(time_limit), .min = 0, .max = 1e9},
	{"verbose", OPT_BOOL, .offset = AT(verbose)},
	{.key = NULL},
};

void
sl_embed_options_read(SlEmbedOptions *options, Jsonb *given)
{
	*options = (SlEmbedOptions){.training = {.method = SL_SKIP_GRAM,
											 .dim = 100,
											 .window = 10,
											 .negative = 5,
											 .epochs = 5,
											 .learning_rate = 0.025,
											 .subsample = 1e-3,
											 .noise_exponent = 0.75},
								.min_count = 5,
								.verbose = true};
	if (given != NULL)
		sl_options_read_object(options, option_table, given, sl_option_read,
							   "{\"dim\": 50}");
}

Jsonb *
sl_embed_options_json(const SlEmbedOptions *options)
{
	return sl_options_json(options, option_table);
}
