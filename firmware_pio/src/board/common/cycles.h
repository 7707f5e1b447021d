/* The cycle counter: DWT where it advances, else SysTick. */
#ifndef MICRONAS_CYCLES_H
#define MICRONAS_CYCLES_H

/* Returns the name of the counter that will be used. */
const char *mn_choose_counter(void);

#endif
