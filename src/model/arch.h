/*
 * arch.h: the architectures there are.  Only model.c and their own files include it.
 */
#ifndef SL_ARCH_H
#define SL_ARCH_H

#include "model/model.h"

extern const SlArch sl_arch_gru;
extern const SlArch sl_arch_lstm;

#endif
