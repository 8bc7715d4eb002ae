import { describe } from 'vitest';
import { patchtst } from '../../src/models/patchtst.js';
import { referenceCases } from './reference-case.js';

describe('patchtst computes what the reference library computes', () => referenceCases(patchtst));
