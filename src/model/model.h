/*
 * model.h: what an architecture is.  One file each; architectures are found through the
 * table in model.c, and nothing else needs to know them.
 */
#ifndef SL_MODEL_H
#define SL_MODEL_H

#include "nn/nn.h"

#define SL_MAX_LAYERS 8
#define SL_MAX_EMBEDDINGS 32

/*
 * Codes of an item column: four tokens, then the vocabulary's items in its order.  The
 * class of an item, where a network predicts items, is its code less SL_ITEM_FIRST.
 */
enum
{
	SL_ITEM_PAD,	 /* before the first item */
	SL_ITEM_MASK,	 /* hidden on purpose */
	SL_ITEM_SKIP,	 /* was skipped */
	SL_ITEM_UNKNOWN, /* not in the vocabulary */
	SL_ITEM_FIRST
};

typedef struct SlArch SlArch;

/* Everything that fixes a network's shape. */
typedef struct SlNetSpec
{
	const SlArch *arch;
	int inputs; /* numeric features a row: known ones, observed ones, the past target */
	int known_inputs;	 /* the first so many are known before their row happens */
	int observed_inputs; /* the next so many are not */
	int target_inputs;	 /* the last so many are the past target and its indicator */
	int embeddings;
	int vocabulary[SL_MAX_EMBEDDINGS]; /* codes 0 .. vocabulary-1 */
	int embedding_dim[SL_MAX_EMBEDDINGS];
	char embedding_name[SL_MAX_EMBEDDINGS]
					   [SL_NAME_MAX];		 /* column: parameter embedding.<n>.weight */
	bool embedding_known[SL_MAX_EMBEDDINGS]; /* before its row happens */
	bool has_item;
	int item;		   /* which embedding is the item column */
	int item_features; /* columns of the table item_features.weight, a row for each item
						  code, read beside the item's embedding; 0: none */
	bool item_features_trained; /* else fixed */
	int items;	 /* classes, if the network predicts items: forward() then gives hidden
					states and the head belongs to the loss; else 0 */
	SlCell cell; /* encoder_decoder */
	bool bidirectional; /* its encoder */
	int past_steps;		/* multi_input_lstm: length of the past skip sequence, padded */
	int layers;
	int hidden[SL_MAX_LAYERS];
	int outputs;
	float dropout; /* on each recurrent layer's output */
	float recurrent_dropout;
} SlNetSpec;

/* The network's parameters, registered, and the indexes its forward pass needs. */
typedef struct SlNet
{
	SlNetSpec spec;
	SlParams params;
	SlRecurrent recurrent[3 * SL_MAX_LAYERS]; /* in the architecture's own order */
	int dense_weight[SL_MAX_LAYERS];		  /* likewise */
	int dense_bias[SL_MAX_LAYERS];
	int embedding[SL_MAX_EMBEDDINGS];
	int item_features;
	int head_weight;
	int head_bias;
	int state; /* floats of state a sequence keeps, all layers */
} SlNet;

/* Rows in packed order. */
typedef struct SlBatch
{
	const SlPack *pack;
	const float *x;				/* [rows x inputs] */
	const int32_t *const *code; /* [embeddings][rows] */
	const uint64_t *row_key;	/* [rows], dropout */
	const uint64_t *seq_key;	/* [batch], recurrent dropout */
	const float *state_in;		/* [batch x state], NULL: zeros */
	float *state_out;			/* [batch x state], NULL: not wanted */
	/* [rows], in a sequence first 0s, then 1s: rows to predict, whose observed inputs are
	 * hidden.  NULL: none is.  Not read while counting: what is counted is enough
	 * wherever the future begins. */
	const uint8_t *future;
} SlBatch;

struct SlArch
{
	const char *name;
	/* Registers parameters from net->spec and sets net->state. */
	SlStatus (*define)(SlNet *net);
	/* Raw head outputs, [rows x outputs], or hidden states, [rows x last hidden], where
	 * items are predicted. */
	SlTensor *(*forward)(const SlNet *net, SlTape *tape, const SlBatch *batch);
	/* What it asks of options and data; a causal network asks nothing. */
	bool whole;	   /* takes sequences whole: needs future rows */
	bool last_row; /* its only future row is the last one, and it wants the past target */
	bool has_cell; /* reads spec.cell and spec.bidirectional */
	bool unit_inputs; /* numbers go to [0, 1] and texts to one-hot features by default */
};

/* By name; NULL if there is none.  sl_arch_name(i): the i-th name, NULL past the end. */
extern const SlArch *sl_arch_find(const char *name);
extern const char *sl_arch_name(int i);

/* Fills net from spec; SL_BAD_SHAPE when a size is out of range or overflows. */
extern SlStatus sl_net_define(SlNet *net, const SlNetSpec *spec);

#endif
