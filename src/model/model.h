/*
 * model.h: what an architecture is.  One file each; architectures are found through the
 * table in model.c, and nothing else needs to know them.
 */
#ifndef SL_MODEL_H
#define SL_MODEL_H

#include "nn/nn.h"

#define SL_MAX_LAYERS 8
#define SL_MAX_EMBEDDINGS 32

typedef struct SlArch SlArch;

/* Everything that fixes a network's shape. */
typedef struct SlNetSpec
{
	const SlArch *arch;
	int inputs; /* numeric features a row */
	int embeddings;
	int vocabulary[SL_MAX_EMBEDDINGS]; /* codes 0 .. vocabulary-1 */
	int embedding_dim[SL_MAX_EMBEDDINGS];
	char embedding_name[SL_MAX_EMBEDDINGS]
					   [SL_NAME_MAX]; /* column: parameter embedding.<n>.weight */
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
	SlRecurrent recurrent[SL_MAX_LAYERS];
	int embedding[SL_MAX_EMBEDDINGS];
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
} SlBatch;

struct SlArch
{
	const char *name;
	/* Registers parameters from net->spec and sets net->state. */
	SlStatus (*define)(SlNet *net);
	/* Raw head outputs, [rows x outputs]. */
	SlTensor *(*forward)(const SlNet *net, SlTape *tape, const SlBatch *batch);
};

/* By name; NULL if there is none.  sl_arch_name(i): the i-th name, NULL past the end. */
extern const SlArch *sl_arch_find(const char *name);
extern const char *sl_arch_name(int i);

/* Fills net from spec; SL_BAD_SHAPE when a size is out of range or overflows. */
extern SlStatus sl_net_define(SlNet *net, const SlNetSpec *spec);

#endif
