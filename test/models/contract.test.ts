import { describe } from 'vitest';
import { modelCases } from './cases.js';
import { modelContract } from './contract.js';

describe.each(modelCases)('$id', ({ model, hyperparameters }) => modelContract(model, hyperparameters));
