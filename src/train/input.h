/*
 * input.h: input columns: their role, their preprocessing fitted on training rows, and
 * how a row of values becomes a row of network inputs.  Stored with the model as JSON
 * and applied alike by train(), predict() and predict_table().
 */
#ifndef SL_INPUT_H
#define SL_INPUT_H

#include "utils/jsonb.h"

#include "model/model.h"
#include "train/options.h"
#include "train/value.h"
#include "train/vocabulary.h"

typedef enum SlRole
{
	SL_ROLE_STATIC,
	SL_ROLE_KNOWN,
	SL_ROLE_OBSERVED, /* not known before its row has happened */
	SL_ROLE_ITEM,	  /* what the row is about, by SL_ITEM_* codes; at most one */
	SL_ROLE_TARGET	  /* of past rows, task skip; the last input */
} SlRole;

typedef enum SlPrep
{
	SL_PREP_NONE,
	SL_PREP_STANDARDIZE, /* (v - mean) / standard deviation */
	SL_PREP_MIN_MAX,	 /* to [0, 1] over the training rows */
	SL_PREP_LOG1P,		 /* sign(v) ln(1 + |v|), then standardised */
	SL_PREP_CODE,		 /* the vocabulary code, standardised */
	SL_PREP_ONE_HOT,
	SL_PREP_EMBEDDING
} SlPrep;

/* By name, as in options and as stored; -1: there is none. */
extern int sl_prep_find(const char *name);
extern const char *sl_prep_name(SlPrep prep);

typedef struct SlInput
{
	char *name;
	SlRole role;
	SlPrep prep;
	bool fold;		/* texts are lower-cased and trimmed */
	bool indicator; /* NULLs are to be expected: one more feature says so; a past target
					   without it is no feature at all */
	double mean;	/* the value becomes (f(v) - mean) / scale */
	double scale;
	SlVocabulary *vocabulary; /* code, one_hot, embedding */
	int dim;				  /* embedding */

	int width;	/* numeric features it fills, indicator included */
	int offset; /* of the first of them */
	int slot;	/* of its embedding, else -1 */
} SlInput;

typedef struct SlInputs
{
	int count;
	SlInput *input;
	int width; /* numeric features of a row: known ones, observed ones, past target */
	int known_width;
	int observed_width;
	int target_width;
	int embeddings;
} SlInputs;

/* One value of a row: number (NaN: NULL), or code (0: unknown or NULL) for inputs with a
 * vocabulary.  An item's code becomes one of SL_ITEM_* when it enters; see sequence.h. */
typedef union SlCellValue
{
	double number;
	int32 code;
} SlCellValue;

/*
 * The inputs named by the role lists, with the preprocessing that options ask for or the
 * defaults; readers[] are of the columns' types.  Vocabularies are empty yet.
 */
extern SlInputs *sl_inputs_choose(int count, char **names, const SlRole *roles,
								  const SlValueReader *readers, const SlOptions *options);

/* The input of that role, -1 if there is none. */
extern int sl_inputs_find(const SlInputs *inputs, SlRole role);

/* The vocabulary of the item column, NULL if there is none. */
extern SlVocabulary *sl_inputs_items(const SlInputs *inputs);

/* Fits mean, scale and indicator of a numeric input on values with use[i]. */
extern void sl_input_fit_number(SlInput *input, const float *value, const bool *use,
								int64 rows);

/* Keeps texts that occur min_count times among rows with use[i], most frequent first, and
 * renumbers code[].  For code inputs also fits mean and scale. */
extern void sl_input_fit_text(SlInput *input, int32 *code, const bool *use, int64 rows,
							  int min_count);

/* Gives every input its place among the features.  Call when all are fitted. */
extern void sl_inputs_lay_out(SlInputs *inputs);

/* Network inputs of one row whose cells have entered: x[width] and code[embeddings]. */
extern void sl_inputs_apply(const SlInputs *inputs, const SlCellValue *cell, float *x,
							int32 *code);

/* Reads a value as this input's cell, its row's own. */
extern SlCellValue sl_input_cell(const SlInput *input, SlValueReader *reader, Datum value,
								 bool isnull);

static inline bool
sl_input_has_vocabulary(const SlInput *input)
{
	return input->prep >= SL_PREP_CODE;
}

/* The cell of "nothing known". */
extern SlCellValue sl_input_missing(const SlInput *input);

extern char *sl_inputs_text(const SlInputs *inputs);
/* From what sl_inputs_text wrote; vocabularies are created empty for the caller to fill
 * before sl_inputs_lay_out. */
extern SlInputs *sl_inputs_parse(Jsonb *stored);

/* What stored inputs must be for stored options; else the model is damaged. */
extern void sl_inputs_check(const SlInputs *inputs, const SlOptions *options);

/* Sets spec's inputs, embeddings and item. */
extern void sl_inputs_to_spec(const SlInputs *inputs, SlNetSpec *spec);

#endif
