/** Memory, by section. Each case runs in a process of its own. */
import { benchAttention } from './memory-attention.js';
import { benchRows } from './memory-rows.js';
import { benchCheckpointing, benchTraining } from './memory-training.js';
import { startPeer } from './peer.js';

const sections = ['attention', 'training', 'checkpointing', 'rows'] as const;
type Section = (typeof sections)[number];

export async function benchMemory({
  peers,
  only = sections,
}: {
  peers: boolean;
  only?: readonly string[] | undefined;
}) {
  const peer = peers && only.includes('training') ? await startPeer(2) : undefined;
  const benches: Record<Section, () => object[] | Promise<object[]>> = {
    attention: benchAttention,
    training: () => benchTraining(peer),
    checkpointing: benchCheckpointing,
    rows: benchRows,
  };
  const tables: Partial<Record<Section, object[]>> = {};
  for (const section of sections) if (only.includes(section)) tables[section] = await benches[section]();
  peer?.close();
  return { tables, peer: peer?.version ?? null };
}
