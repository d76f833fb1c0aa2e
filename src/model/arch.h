/*
 * arch.h: the architectures there are, and what they share: the columns a network reads
 * from a row, and its head.  Only model.c and their own files include it.
 */
#ifndef SL_ARCH_H
#define SL_ARCH_H

#include "model/model.h"

extern const SlArch sl_arch_gru;
extern const SlArch sl_arch_lstm;
extern const SlArch sl_arch_encoder_decoder;
extern const SlArch sl_arch_multi_input_lstm;

/* Which columns of a row.  The item and its features count as known: where they are not
 * to be read, their row holds another item or a token. */
typedef enum SlColumns
{
	SL_COLUMNS_ALL,
	SL_COLUMNS_KNOWN,	/* before the row happens */
	SL_COLUMNS_OBSERVED /* neither known nor the past target */
} SlColumns;

/* Registers embeddings and the items' features. */
extern void sl_inputs_define(SlNet *net);

/* Width of those columns, looked up; 0: there are none. */
extern int sl_inputs_width(const SlNetSpec *spec, SlColumns columns);

/* Numeric features and looked-up embeddings side by side, [rows x width]; width may not
 * be 0. */
extern SlTensor *sl_inputs(const SlNet *net, SlTape *tape, const SlBatch *batch,
						   SlColumns columns);

/* Registers head.weight and head.bias, over hidden states of that width. */
extern void sl_head_define(SlNet *net, int hidden);

/* What forward() returns for these hidden states: outputs, or the states themselves where
 * items are predicted. */
extern SlTensor *sl_head(const SlNet *net, SlTape *tape, SlTensor *hidden);

#endif
